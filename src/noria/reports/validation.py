"""Validation page: what breaks the schema or the rules, which rows show it, and what the columns are."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from noria.ml.dictionary import ColumnFacts
from noria.ml.findings import Example, Finding, Findings
from noria.reports.formats import count, moment, percent
from noria.reports.page import PageContext, render
from noria.task import Tally

MOST_FINDINGS = 300
EXAMPLES_BUDGET = 200_000  # characters of HTML for all examples together
MARKUP_A_LINE = 60  # characters that a line of examples needs beside its text


@dataclass(frozen=True, kw_only=True)
class FindingView:
    """A finding with those of its examples that find room; `place` numbers it on the page."""

    place: int
    finding: Finding
    examples: tuple[Example, ...]
    valued: bool


@dataclass(frozen=True, kw_only=True)
class ColumnLine:
    """One line of the data dictionary, as text; `broken` says how many violations name the column."""

    facts: ColumnFacts
    type: str
    allowed: str
    observed: str
    missing: str
    distinct: str
    broken: int


@dataclass(frozen=True, kw_only=True)
class ValidationView:
    findings: Findings
    sentence: str
    shown: tuple[FindingView, ...]
    left_out: int
    columns: tuple[ColumnLine, ...]
    tallies: tuple[Tally, ...]  # what was found, that for which rows were left out first


def validation_page(
    findings: Findings, dictionary: tuple[ColumnFacts, ...], context: PageContext, tallies: tuple[Tally, ...] = ()
) -> str:
    """Write the page as one HTML file that needs nothing else; under 500 kB."""
    ordered = (*findings.violations, *findings.notices)
    kept = ordered[:MOST_FINDINGS]
    view = ValidationView(
        findings=findings,
        sentence=_sentence(findings),
        shown=tuple(_view(place, finding, EXAMPLES_BUDGET // len(kept)) for place, finding in enumerate(kept, 1)),
        left_out=len(ordered) - len(kept),
        columns=tuple(_line(facts, findings) for facts in dictionary),
        tallies=tuple(sorted((tally for tally in tallies if tally.rows), key=lambda tally: not tally.left_out)),
    )
    return render("validation.html.j2", context, view)


def _sentence(findings: Findings) -> str:
    broken, known = findings.violations, len(findings.notices)
    notices = f"{known} {'notice' if known == 1 else 'notices'}"
    if not broken:
        told = f"; {notices} {'is' if known == 1 else 'are'} worth a look" if known else ""
        return f"All rules hold for the {count(findings.rows)} rows{told}."
    rules = sorted({finding.rule for finding in broken})
    named = ", ".join(rules[:6]) + (f" and {len(rules) - 6} more" if len(rules) > 6 else "")
    told = f"; {notices} beside" if known else ""
    violations = "1 violation stops" if len(broken) == 1 else f"{len(broken)} violations stop"
    return f"{violations} the run on {count(findings.rows)} rows: {named}{told}."


def _view(place: int, finding: Finding, budget: int) -> FindingView:
    kept: list[Example] = []
    for example in finding.examples:
        texts = (example.id, example.time, example.value)
        budget -= sum(len(escape(text)) for text in texts) + MARKUP_A_LINE
        if budget < 0:
            break
        kept.append(example)
    valued = any(example.value for example in kept)
    return FindingView(place=place, finding=finding, examples=tuple(kept), valued=valued)


def _line(facts: ColumnFacts, findings: Findings) -> ColumnLine:
    shape = "".join(f" × {length}" for length in facts.shape).removeprefix(" × ")
    return ColumnLine(
        facts=facts,
        type=f"{facts.type}, {shape}" if shape else facts.type,
        allowed=_span(facts.minimum, facts.maximum),
        observed=_span(facts.observed_minimum, facts.observed_maximum),
        missing=percent(facts.null_share),
        distinct="–" if facts.distinct is None else count(facts.distinct),
        broken=sum(finding.column == facts.name for finding in findings.violations),
    )


def _span(low: float | str | None, high: float | str | None) -> str:
    if low is None and high is None:
        return "–"
    if low is None:
        return f"up to {_end(high)}"
    if high is None:
        return f"from {_end(low)}"
    return f"{_end(low)} to {_end(high)}"


def _end(value: float | str | None) -> str:
    if isinstance(value, str):
        return moment(value)
    return "–" if value is None else f"{value:.6g}".replace("-", "−")
