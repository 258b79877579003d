"""Model: a bundle made ready to answer, with what clients may know about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import BundleError, NoriaError, ServingError
from noria.ml.bundle import Bundle, Facts
from noria.ml.decision import Decider
from noria.ml.inference import LABEL, PROBABILITIES, Session, TensorSpec, check_fit, further_outputs
from noria.schema import Column
from serving.features.plan import Plan, make_plan
from serving.protocol import DATATYPE_OF, OutputSpec
from serving.sweep import Pace, sweep
from serving.tensors import JSON_TYPES

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
    rule: ServedModel | None = None  # the bundle's rule, ready to answer in its place
    completes: bool = False  # requests may leave out what the feature service supplies

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
            *(_describe(spec) for spec in self._further),
        )

    @cached_property
    def plan(self) -> Plan | None:
        """What its feature service adds to a request; None without one."""
        return make_plan(self.facts)

    @cached_property
    def _further(self) -> tuple[TensorSpec, ...]:
        return further_outputs(self.session)

    @cached_property
    def _decider(self) -> Decider:
        return Decider(self.facts.costs, len(self.facts.classes))

    def answers_to(self, version: str | None) -> bool:
        """Say whether a client that asks for this version, or for none, means this model."""
        return version in {None, self.version, self.digest}

    def predict(self, features: dict[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Return probabilities (rows, classes), label (rows,), which is the decision as the index of its class, and
        what else the graph gives, (rows, *shape); ServingError if the model fails or gives no such.
        """
        values = self.session.run(features)
        probabilities = values.pop(PROBABILITIES)
        rows = len(next(iter(features.values())))
        expected = (rows, len(self.facts.classes))
        # A sum is finite only where all that it adds is.
        if probabilities.shape != expected or not np.isfinite(probabilities.sum()):
            raise ServingError(
                f"bundle {self.version} gave values of shape {probabilities.shape}, "
                f"{int((~np.isfinite(probabilities)).sum())} of them not finite: expected {expected}, all finite"
            )
        answer = {PROBABILITIES: probabilities, LABEL: self._decider.choose(probabilities)}
        if values:
            _check_shapes(values, self._further, rows)
            answer.update(values)
        return answer


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
    make_plan(bundle.facts)  # one that cannot be carried out is found now
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
        rule=load_model(replace(bundle, model=bundle.rule, rule=None), name, threads, batch_rows)
        if bundle.rule is not None
        else None,
    )


def _try_out(session: Session, facts: Facts, batch_rows: int) -> Pace:
    """Let the model answer rows that its schema allows; two rows show that their number is free."""
    decider = Decider(facts.costs, len(facts.classes))
    for rows in (1, 2):
        values = session.run(_sample(facts, rows))
        probabilities = values[PROBABILITIES]
        sums = probabilities.sum(axis=1)
        if probabilities.shape != (rows, len(facts.classes)):
            raise ServingError(f"its probabilities have shape {probabilities.shape} for {rows} rows")
        if not (probabilities.min() >= 0 and abs(sums - 1).max() <= 1e-3):
            raise ServingError(f"its probabilities sum to {sums.tolist()}: expected 1 in each row, and none below 0")
        decider.choose(probabilities)
        _check_shapes(values, further_outputs(session), rows)
    return sweep(lambda rows: session.run(_sample(facts, rows)), batch_rows)


def _describe(spec: TensorSpec) -> OutputSpec:
    """An output of the graph as clients are told of it; `check_fit` has seen to it that its sides are fixed."""
    sides = tuple(side for side in spec.shape[1:] if side is not None)
    return OutputSpec(name=spec.name, datatype=DATATYPE_OF[spec.dtype], shape=sides)


def _check_shapes(values: Mapping[str, NDArray[Any]], specs: Sequence[TensorSpec], rows: int) -> None:
    """Refuse outputs that have not one value of their shape for each row: in a batch they would be parted wrongly."""
    for spec in specs:
        found, expected = values[spec.name].shape, (rows, *spec.shape[1:])
        if found != expected:
            raise ServingError(f"its output {spec.name!r} has shape {found} for {rows} rows: expected {expected}")


def _sample(facts: Facts, rows: int) -> dict[str, NDArray[Any]]:
    return {column.name: _values(column, rows) for column in facts.schema.features}


def _values(column: Column, rows: int) -> NDArray[Any]:
    """Rows of the smallest value that the schema allows, or of zeros."""
    value = "" if column.type == "string" else column.minimum or 0
    return np.full((rows, *column.shape), value, column.dtype)
