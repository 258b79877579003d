"""Validate: hold a dataset against its schema, keep the report, and stop the run where rows break it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
import numpy as np

from noria.errors import DatasetError, ValidationError
from noria.gates.evidence import DataEvidence
from noria.ml.dictionary import ColumnFacts, dictionary
from noria.ml.findings import Finding, Findings
from noria.ml.nulls import null_rows
from noria.ml.progress import Progress
from noria.ml.splits import Split, split_columns, split_rows
from noria.ml.validation import ValidationRules
from noria.ml.validation import validate as find
from noria.schema import Schema
from noria.steps.exhibit import REFUSED
from noria.steps.groups import read_group
from noria.steps.workspace import Workspace, now, report_key
from noria.task import Rows, Tally, Window, load_task


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """report.json: the findings, the data dictionary, and what was counted in the source."""

    dataset: str
    findings: Findings
    dictionary: tuple[ColumnFacts, ...]
    tallies: tuple[Tally, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Validated:
    evidence: DataEvidence
    findings: Findings
    page: str
    place: str  # where the report lies

    @property
    def encoded(self) -> bytes:
        return msgspec.json.encode(self.evidence, order="deterministic")

    @property
    def word(self) -> str:
        """What the pipeline branches on."""
        return "invalid" if self.findings.violations else "valid"

    @property
    def refusal(self) -> ValidationError | None:
        """What ends the run: each broken rule, and the report; None for good data."""
        broken = self.findings.violations
        if not broken:
            return None
        more = f"; and {len(broken) - 5} more" if len(broken) > 5 else ""
        return ValidationError(
            f"the data break {len(broken)} rules ({'; '.join(map(_tell, broken[:5]))}{more}): the rows are in "
            f"{self.place}; mend the source, or change what the data are held to (rules.* of `noria plan`)"
        )

    @property
    def summary(self) -> str:
        """What was found in a few lines of Markdown, for KFP's page of the run."""
        told = f"{REFUSED}{self.refusal}" if self.refusal else f"{self.findings.rows:,} rows break no rule"
        rows = [f"| {one.severity} | {one.rule} {one.column} | {one.found} | {one.expected} |" for one in self._told]
        return "\n".join(
            [told, "", "| | rule | found | expected |", "|---|---|---|---|", *rows, ""] if rows else [told, ""]
        )

    @property
    def _told(self) -> tuple[Finding, ...]:
        return (*self.findings.violations, *self.findings.notices)


def _tell(found: Finding) -> str:
    where = f"{found.rule} {found.column}".rstrip()
    return f"{where}: {found.found}, expected {found.expected}"


def validate(
    workspace: Workspace,
    *,
    uri: str,
    validation_days: int,
    holdout_days: int,
    window: Window,
    rules: Mapping[str, float],
    code: str,
    as_of: datetime | None = None,
    progress: Progress,
) -> Validated:
    """Look for every violation at once; the report is kept in the object store, as HTML and JSON, whatever is found."""
    from noria.reports.page import PageContext
    from noria.reports.validation import validation_page

    dataset = workspace.fetch_dataset(uri)
    task = load_task(dataset.facts.task)
    rows, nulls = dataset.load(), dataset.nulls()
    progress(f"checking {dataset.rows:,} rows", None)
    split, undivided = _divide(dataset.schema, rows, validation_days, holdout_days)
    findings = find(
        rows,
        task.schema,
        task.classes,
        rules=read_group("rules", rules, ValidationRules),
        window=window,
        as_of=as_of,
        training=np.concatenate([split.train, split.validation]),
        holdout=split.holdout,
        nulls=nulls,
    )
    if undivided:
        findings = replace(findings, findings=(*_without_parts(findings), undivided))
    facts = dictionary(dataset.schema, rows, nulls)
    tallies = dataset.facts.tallies
    page = validation_page(findings, facts, PageContext(task=task.name, created=now(), code=code), tallies)
    report = DataReport(dataset=dataset.digest, findings=findings, dictionary=facts, tallies=tallies)
    place = _keep(workspace, report, page)
    progress(f"{len(findings.violations)} violations, {len(findings.notices)} notices", None)
    return Validated(
        evidence=DataEvidence(
            dataset=dataset.digest,
            rows=findings.rows,
            violations=len(findings.violations),
            notices=len(findings.notices),
        ),
        findings=findings,
        page=page,
        place=place,
    )


def _keep(workspace: Workspace, report: DataReport, page: str) -> str:
    """Keep the report with the dataset, and under a key of its findings, where it stays; returns where that is.

    The same data may be held to other rules another day, which must not change what an earlier decision points to.
    """
    encoded = msgspec.json.encode(report, order="deterministic")
    own = hashlib.sha256(encoded).hexdigest()
    for digest in (own, report.dataset):
        workspace.store.put(report_key(digest, "validation.html"), page.encode())
        workspace.store.put(report_key(digest, "validation.json"), encoded)
    return workspace.store.uri(report_key(own, "validation.html"))


def _divide(schema: Schema, rows: Rows, validation_days: int, holdout_days: int) -> tuple[Split, Finding | None]:
    """Divide the rows that have a time. What keeps them from it is a finding, one among those about single rows."""
    there = np.flatnonzero(~null_rows(rows[schema.time.name]))
    timed = {name: rows[name][there] for name in split_columns(schema)}
    try:
        split = split_rows(schema, timed, validation_days=validation_days, holdout_days=holdout_days)
    except DatasetError as error:
        none = Split(train=there, validation=there[:0], holdout=there[:0])
        expected = "rows to train on, to choose the epoch by and to hold out"
        found = Finding(
            rule="split", column="", severity="violation", rows=0, found=str(error), expected=expected, examples=()
        )
        return none, found
    return Split(train=there[split.train], validation=there[split.validation], holdout=there[split.holdout]), None


def _without_parts(findings: Findings) -> Iterator[Finding]:
    """All but those about empty parts, where the rows were never divided."""
    return (found for found in findings.findings if found.rule not in ("empty-training", "empty-holdout"))
