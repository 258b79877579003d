"""Figure: what one measurement found, in the form that results.json keeps."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One quantity over all rounds."""

    name: str
    unit: str
    median: float
    minimum: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: ratios between programs run in turn, and absolute quantities for orientation.

    What was not measured is absent: a ratio without its peer is no entry, and `met` is None where there is no goal or
    the run was too short to tell.
    """

    id: str
    title: str
    how: str
    rounds: int
    goal: str = ""
    met: bool | None = None
    ratios: tuple[Quantity, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    drawn: str = ""  # the unit whose quantities the plot shows; the first quantity's, unless given
    mark: float | None = None  # the goal in that unit
    facts: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def quantity(name: str, unit: str, values: Sequence[float]) -> Quantity:
    return Quantity(name=name, unit=unit, median=statistics.median(values), minimum=min(values), maximum=max(values))


def divide(name: str, above: Sequence[float], below: Sequence[float]) -> Quantity:
    """The ratio of two programs' times, round by round."""
    return quantity(name, "×", [a / b for a, b in zip(above, below, strict=True)])


def tell(figures: Sequence[Figure]) -> None:
    """Print the figures for the bench room, which runs every program as a process of its own."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
