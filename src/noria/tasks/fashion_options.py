"""Fashion options: what may be chosen about the fashion network, known without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from noria.errors import UsageError
from noria.task import Value


@dataclass(frozen=True, kw_only=True)
class FashionOptions:
    """`width`: of the first stage, in channels; `dropout`: the share that is dropped before the last layer."""

    width: int = 32
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.width, int) or self.width < 1:
            raise UsageError(f"network option width is {self.width!r}: expected a whole number of channels from 1")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise UsageError(f"network option dropout is {self.dropout!r}: expected 0 <= dropout < 1")


def read_options(given: Mapping[str, Value]) -> FashionOptions:
    """Read the options; UsageError names one that is unknown or out of its range."""
    known = [field.name for field in fields(FashionOptions)]
    if strange := sorted(given.keys() - set(known)):
        raise UsageError(f"unknown network options {', '.join(strange)}: there are {', '.join(known)}")
    return FashionOptions(**given)  # type: ignore[arg-type]  # it checks the types itself
