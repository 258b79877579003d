"""Options: what may be chosen about the network of flights, known without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from noria.errors import UsageError
from noria.task import Value


@dataclass(frozen=True, kw_only=True)
class FlightsOptions:
    """`width`: of a hidden layer; `depth`: hidden layers; `embedding`: numbers a text or an hour becomes, at most;
    `members`: networks whose probabilities are averaged, each of which learns from its part of every batch;
    `dropout`, `input_dropout`: the share of a hidden layer, and of what goes in, that is dropped in training.
    """

    width: int = 256
    depth: int = 2
    embedding: int = 8
    members: int = 3
    dropout: float = 0.5
    input_dropout: float = 0.2

    def __post_init__(self) -> None:
        for name in ("width", "depth", "embedding", "members"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"network option {name} is {value!r}: expected a whole number from 1")
        for name in ("dropout", "input_dropout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
                raise UsageError(f"network option {name} is {value!r}: expected 0 <= {name} < 1")


def read_options(given: Mapping[str, Value]) -> FlightsOptions:
    """Read the options; UsageError names one that is unknown or out of its range."""
    known = [field.name for field in fields(FlightsOptions)]
    if strange := sorted(given.keys() - set(known)):
        raise UsageError(f"unknown network options {', '.join(strange)}: there are {', '.join(known)}")
    return FlightsOptions(**given)  # type: ignore[arg-type]  # it checks the types itself
