"""Options: what may be chosen about the network of flights, known without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from noria.errors import UsageError
from noria.task import Value


@dataclass(frozen=True, kw_only=True)
class FlightsOptions:
    """`width`: of a hidden layer; `depth`: hidden layers; `embedding`: numbers a text or an hour becomes, at most;
    `dropout`: the share of a hidden layer that is dropped in training.
    """

    width: int = 96
    depth: int = 2
    embedding: int = 8
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("width", "depth", "embedding"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"network option {name} is {value!r}: expected a whole number from 1")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise UsageError(f"network option dropout is {self.dropout!r}: expected 0 <= dropout < 1")


def read_options(given: Mapping[str, Value]) -> FlightsOptions:
    """Read the options; UsageError names one that is unknown or out of its range."""
    known = [field.name for field in fields(FlightsOptions)]
    if strange := sorted(given.keys() - set(known)):
        raise UsageError(f"unknown network options {', '.join(strange)}: there are {', '.join(known)}")
    return FlightsOptions(**given)  # type: ignore[arg-type]  # it checks the types itself
