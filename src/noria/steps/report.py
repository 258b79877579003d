"""Report: the page about a verdict, kept beside the evidence, as true as it is at the moment of writing."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from noria.errors import EvidenceError
from noria.gates.evidence import Evidence
from noria.gates.results import Verdict
from noria.steps.workspace import Workspace, now, report_key
from noria.task import Rows

PAGE = "evaluation.html"


def keep_report(
    workspace: Workspace,
    evidence: str,
    shown: Evidence,
    verdict: Verdict,
    *,
    code: str,
    promoted: bool = False,
    refusal: str = "",
) -> tuple[str, str]:
    """Write the page under the key that belongs to the evidence's digest; returns the key and the page.

    `promoted` says that the ledger has taken the candidate up: the same key then holds the page that says so.
    `refusal` says why a candidate that the gates let pass was refused all the same.
    """
    from noria.reports.evaluation import evaluation_page
    from noria.reports.page import PageContext

    if shown.evaluation is None:
        raise EvidenceError("there is no evaluation to report: run evaluate")
    dataset = workspace.fetch_dataset(verdict.dataset)
    rows = dataset.load()
    places = _places(rows[dataset.schema.id.name], [item.id for item in shown.evaluation.most_wrong])
    wrong: Rows = {name: values[places] for name, values in rows.items()}
    context = PageContext(task=dataset.facts.task, created=now(), code=code, promoted=promoted, refusal=refusal)
    page = evaluation_page(shown.evaluation, verdict, dataset.schema, wrong, context)
    key = report_key(evidence, PAGE)
    workspace.store.put(key, page.encode())
    return key, page


def _places(ids: NDArray[Any], wanted: list[str]) -> list[int]:
    found = {str(name): place for place, name in enumerate(ids)}
    return [found[name] for name in wanted]
