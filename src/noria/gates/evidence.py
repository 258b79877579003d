"""Evidence: what the gates are shown, each piece bound to the digests that it speaks of."""

from __future__ import annotations

from dataclasses import dataclass, fields

from noria.errors import EvidenceError
from noria.ml.scores import Evaluation


@dataclass(frozen=True, kw_only=True)
class DataEvidence:
    """What validation found in the dataset that the candidate was trained on."""

    dataset: str  # digest
    rows: int
    violations: int
    notices: int


@dataclass(frozen=True, kw_only=True)
class ParityEvidence:
    """How far the exported model's probabilities lie from the trained network's, at most, on the same rows."""

    bundle: str  # digest
    rows: int
    max_difference: float


@dataclass(frozen=True, kw_only=True)
class ServingEvidence:
    """What a real server of the bundle answered, against the bundle's own answers offline."""

    bundle: str  # digest
    requests: int  # one after the other
    wrong: int  # answers with another decision
    max_difference: float  # of a probability
    p50_ms: float
    p95_ms: float
    errors: int  # requests without an answer
    load_requests: int = 0  # over several connections at once; wrong, max_difference and errors speak of these too
    # None where nobody measured it, as in evidence of before these were: its gate lets nothing pass then.
    rows_per_second: float | None = None  # answered of load_requests
    memory_mib: float | None = None  # resident in the server's process, after all requests


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a verdict is about: this candidate, on this dataset, against this champion ("" where there is none)."""

    bundle: str
    dataset: str
    champion: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that a verdict rests on. A piece that is None was never made; `check` refuses it."""

    data: DataEvidence | None
    evaluation: Evaluation | None
    serving: ServingEvidence | None
    parity: ParityEvidence | None

    def check(self, expected: Subject | None = None) -> Subject:
        """Say what the evidence is about; EvidenceError where a piece is missing or speaks of something else.

        With `expected` the evidence must be about that: a champion that changed since the evaluation is found so.
        """
        data, evaluation, serving, parity = self.data, self.evaluation, self.serving, self.parity
        if data is None or evaluation is None or serving is None or parity is None:
            missing = [field.name for field in fields(self) if getattr(self, field.name) is None]
            raise EvidenceError(
                f"there is no evidence of {', '.join(missing)}: run the steps that make it, then decide"
            )
        subject = Subject(bundle=evaluation.bundle, dataset=evaluation.dataset, champion=evaluation.champion)
        _check_same("serving evidence", "bundle", serving.bundle, subject.bundle)
        _check_same("parity evidence", "bundle", parity.bundle, subject.bundle)
        _check_same("data evidence", "dataset", data.dataset, subject.dataset)
        if not subject.bundle or not subject.dataset:
            raise EvidenceError("the evaluation names no bundle or no dataset: evaluate a bundle by its digest")
        if expected is not None:
            for field in fields(expected):
                _check_same("the evidence", field.name, getattr(subject, field.name), getattr(expected, field.name))
        return subject


def _check_same(whose: str, what: str, found: str, expected: str) -> None:
    if found != expected:
        raise EvidenceError(
            f"{whose} is of {what} {found or 'nobody'}, but this decision is about {what} {expected or 'nobody'}: "
            "make the evidence again for what is to be decided"
        )
