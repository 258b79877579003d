"""Model: a bundle made ready to answer, with what clients may know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import BundleError, NoriaError, ServingError
from noria.ml.bundle import Bundle, Facts
from noria.ml.decision import Decider
from noria.ml.inference import PROBABILITIES, Session, check_fit
from noria.schema import Column
from serving.protocol import OutputSpec
from serving.sweep import Pace, sweep
from serving.tensors import JSON_TYPES

LABEL = "label"  # the decision, as the index of its class
VERSION_LENGTH = 12


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model that has been verified, loaded, tried and timed."""

    name: str
    digest: str
    facts: Facts
    session: Session
    pace: Pace
    load_seconds: float

    @cached_property
    def version(self) -> str:
        """The short form of the digest, as it stands in addresses and answers."""
        return self.digest[:VERSION_LENGTH]

    @cached_property
    def outputs(self) -> tuple[OutputSpec, ...]:
        """What the model answers: the probabilities, the decision, and what else its graph gives."""
        classes = len(self.facts.classes)
        return (
            OutputSpec(name=PROBABILITIES, datatype="FP32", shape=(classes,)),
            OutputSpec(name=LABEL, datatype="INT64", shape=()),
        )

    @cached_property
    def _decider(self) -> Decider:
        return Decider(self.facts.costs, len(self.facts.classes))

    def answers_to(self, version: str | None) -> bool:
        """Say whether a client that asks for this version, or for none, means this model."""
        return version in {None, self.version, self.digest}

    def predict(self, features: dict[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Return probabilities (rows, classes) and label (rows,); ServingError if the model fails or gives no such."""
        probabilities = self.session.run(features)[PROBABILITIES]
        rows = len(next(iter(features.values())))
        expected = (rows, len(self.facts.classes))
        # A sum is finite only where all that it adds is.
        if probabilities.shape != expected or not np.isfinite(probabilities.sum()):
            raise ServingError(
                f"bundle {self.version} gave values of shape {probabilities.shape}, "
                f"{int((~np.isfinite(probabilities)).sum())} of them not finite: expected {expected}, all finite"
            )
        return {PROBABILITIES: probabilities, LABEL: self._decider.choose(probabilities)}


def load_model(bundle: Bundle, name: str, threads: int, batch_rows: int) -> ServedModel:
    """Load a verified bundle, let it answer, and learn its best batch; BundleError if it does not fit or answer."""
    from time import perf_counter

    started = perf_counter()
    schema = bundle.facts.schema
    strange = [column.name for column in schema.features if column.type not in JSON_TYPES]
    if strange:
        raise BundleError(
            f"bundle {bundle.digest[:VERSION_LENGTH]} has features {strange} of a type that no request can carry: "
            f"expected {', '.join(JSON_TYPES)}"
        )
    session = Session.load(bundle.model, threads)
    check_fit(session, schema)
    try:
        pace = _try_out(session, bundle.facts, batch_rows)
    except NoriaError as error:
        raise BundleError(
            f"bundle {bundle.digest[:VERSION_LENGTH]} did not pass its warm-up: {error}. "
            "Evaluate it before it is published"
        ) from error
    return ServedModel(
        name=name or bundle.facts.task,
        digest=bundle.digest,
        facts=bundle.facts,
        session=session,
        pace=pace,
        load_seconds=perf_counter() - started,
    )


def _try_out(session: Session, facts: Facts, batch_rows: int) -> Pace:
    """Let the model answer rows that its schema allows; two rows show that their number is free."""
    decider = Decider(facts.costs, len(facts.classes))
    for rows in (1, 2):
        probabilities = session.run(_sample(facts, rows))[PROBABILITIES]
        sums = probabilities.sum(axis=1)
        if probabilities.shape != (rows, len(facts.classes)):
            raise ServingError(f"its probabilities have shape {probabilities.shape} for {rows} rows")
        if not (probabilities.min() >= 0 and abs(sums - 1).max() <= 1e-3):
            raise ServingError(f"its probabilities sum to {sums.tolist()}: expected 1 in each row, and none below 0")
        decider.choose(probabilities)
    return sweep(lambda rows: session.run(_sample(facts, rows)), batch_rows)


def _sample(facts: Facts, rows: int) -> dict[str, NDArray[Any]]:
    return {column.name: _values(column, rows) for column in facts.schema.features}


def _values(column: Column, rows: int) -> NDArray[Any]:
    """Rows of the smallest value that the schema allows, or of zeros."""
    value = "" if column.type == "string" else column.minimum or 0
    return np.full((rows, *column.shape), value, column.dtype)
