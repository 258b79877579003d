"""Model: a bundle made ready to answer, with what clients may know about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import BundleError, NoriaError, ServingError
from noria.ml.bundle import Bundle, Facts
from noria.ml.decision import decide
from noria.ml.inference import PROBABILITIES, Session, check_fit
from noria.schema import Column
from serving.tensors import JSON_TYPES

VERSION_LENGTH = 12


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model that has been verified, loaded and tried."""

    name: str
    digest: str
    facts: Facts
    session: Session

    @property
    def version(self) -> str:
        """The short form of the digest, as it stands in addresses and answers."""
        return self.digest[:VERSION_LENGTH]

    def answers_to(self, version: str | None) -> bool:
        """Say whether a client that asks for this version, or for none, means this model."""
        return version in {None, self.version, self.digest}

    def predict(self, features: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return probabilities of shape (rows, classes); ServingError if the model fails or gives anything else."""
        probabilities = self.session.run(features)[PROBABILITIES]
        rows = len(next(iter(features.values())))
        expected = (rows, len(self.facts.classes))
        if probabilities.shape != expected or not np.isfinite(probabilities).all():
            raise ServingError(
                f"bundle {self.version} gave values of shape {probabilities.shape}, "
                f"{int((~np.isfinite(probabilities)).sum())} of them not finite: expected {expected}, all finite"
            )
        return probabilities


def load_model(bundle: Bundle, name: str, threads: int) -> ServedModel:
    """Load a verified bundle and let it answer once; BundleError if it does not fit or does not answer."""
    strange = [column.name for column in bundle.facts.schema.features if column.type not in JSON_TYPES]
    if strange:
        raise BundleError(
            f"bundle {bundle.digest[:VERSION_LENGTH]} has features {strange} of a type that no request can carry: "
            f"expected {', '.join(JSON_TYPES)}"
        )
    session = Session.load(bundle.model, threads)
    check_fit(session, bundle.facts.schema)
    model = ServedModel(name=name or bundle.facts.task, digest=bundle.digest, facts=bundle.facts, session=session)
    try:
        for rows in (1, 2):  # two runs show that the number of rows is free, and pay for ONNX Runtime's first use
            _try_out(model, rows)
    except NoriaError as error:
        raise BundleError(
            f"bundle {model.version} did not pass its warm-up: {error}. Evaluate it before it is published"
        ) from error
    return model


def _try_out(model: ServedModel, rows: int) -> None:
    features = {column.name: _sample(column, rows) for column in model.facts.schema.features}
    probabilities = model.predict(features)
    sums = probabilities.sum(axis=1)
    if probabilities.min() < 0 or abs(sums - 1).max() > 1e-3:
        raise ServingError(f"its probabilities sum to {sums.tolist()}: expected 1 in each row, and none below 0")
    decide(probabilities, model.facts.costs)


def _sample(column: Column, rows: int) -> NDArray[Any]:
    """Rows of the smallest value that the schema allows, or of zeros."""
    value = "" if column.type == "string" else column.minimum or 0
    return np.full((rows, *column.shape), value, column.dtype)
