"""Slice gate: did any part of the rows get worse, while the whole may have improved?"""

from __future__ import annotations

import math
from collections.abc import Mapping

from noria.gates.data import evaluation_of
from noria.gates.evidence import Evidence
from noria.gates.limits import Limits
from noria.gates.results import GateResult, costs_differ
from noria.gates.skill import comparison_with
from noria.ml.bootstrap import holm
from noria.ml.scores import Difference, Evaluation

NAME = "no slice worse"
FAR = 2.0  # slice margins: a slice that lies so far below needs no correction for the others


def no_slice_worse(evidence: Evidence, limits: Limits) -> GateResult:
    """No slice of enough rows is shown to be worse than the champion by more than the margin.

    Shown means Holm-corrected p_worse < 1 - confidence, so that many slices do not make many false alarms. A slice
    whose difference lies below two margins is refused on its own p_worse, which among many slices the correction
    would hide. (Without any p_worse, equal models with ten slices of 150 rows would be refused in two runs of five, by
    chance.) Slices of fewer rows are named as not judged.
    """
    evaluation = evaluation_of(evidence)
    limit = f"at most {limits.slice_margin:.4f} worse in each of {limits.slice_rows} rows or more"
    if not evaluation.champion:
        return GateResult(name=NAME, figure="no champion", limit=limit, passed=True, reason="no champion yet")
    found = comparison_with(evidence, "champion").slices
    judged = {name: part for name, part in found.items() if part.rows >= limits.slice_rows}
    small = sorted(name for name, rows in evaluation.slice_rows.items() if rows < limits.slice_rows)
    bad = _not_measured(evaluation, found, limits) or _worse(judged, limits)
    figure = "no slices"
    if judged:
        worst = min(judged, key=lambda name: judged[name].interval.value)
        value, rows = judged[worst].interval.value, f"({judged[worst].rows:,} rows)"
        # Of what it is a share, the gates above say: with it the name of a slice would find no room.
        shown = f"saves {value:+.4f}" if costs_differ(evaluation) else f"{value:+.4f} accuracy"
        figure = f"worst: {worst} {shown} {rows}"
    reason = f"worse than the champion in {'; '.join(bad)}" if bad else f"none of {len(judged)} slices is worse"
    left = f"; not judged, for they have too few rows: {', '.join(small)}" if small else ""
    return GateResult(name=NAME, figure=figure, limit=limit, passed=not bad, reason=reason + left)


def _not_measured(evaluation: Evaluation, found: Mapping[str, Difference], limits: Limits) -> list[str]:
    """Slices that have to be judged and cannot be: a figure that is missing or no number must not pass as good."""
    return [
        f"{name} (no figure: it counts as worse)"
        for name, rows in evaluation.slice_rows.items()
        if rows >= limits.slice_rows
        and (
            name not in found
            or found[name].rows != rows
            or not math.isfinite(found[name].interval.value)
            or not 0.0 <= found[name].p_worse <= 1.0
        )
    ]


def _worse(judged: Mapping[str, Difference], limits: Limits) -> list[str]:
    alpha, far = 1.0 - limits.confidence, -FAR * limits.slice_margin
    adjusted = holm({name: part.p_worse for name, part in judged.items()})
    return [
        f"{name} ({part.interval.value:+.4f} in {part.rows:,} rows, p = {part.p_worse:.4f})"
        for name, part in sorted(judged.items(), key=lambda item: item[1].interval.value)
        if adjusted[name] < alpha or (part.interval.value < far and part.p_worse < alpha)
    ]
