"""Notes: what was measured, one number a round under each key, and rounds that were void kept out of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from bench.figure import Quantity, quantity
from bench.serving.asking import WrongAnswerError
from bench.serving.questions import Protocol


@dataclass(frozen=True, kw_only=True)
class Point:
    """How a server is asked."""

    protocol: Protocol = "V2 binary"
    rows: int = 1
    connections: int = 16


@dataclass(frozen=True, kw_only=True)
class Key(Point):
    """What was measured of which server, asked how."""

    what: str = ""
    server: str = ""
    model: str = "fashion"

    def told(self, what: str) -> Key:
        """The same point, another number of it."""
        return replace(self, what=what)


@dataclass(frozen=True, kw_only=True)
class Notes:
    """All rounds; each key has one value for each round that stands."""

    values: dict[Key, list[float]] = field(default_factory=dict)
    void: list[str] = field(default_factory=list)

    def __contains__(self, key: Key) -> bool:
        return key in self.values

    def of(self, key: Key) -> list[float]:
        return self.values[key]

    def keys(self, what: str) -> Iterator[Key]:
        return (key for key in self.values if key.what == what)

    def quantity(self, name: str, unit: str, key: Key) -> Quantity:
        return quantity(name, unit, self.values[key])

    def add(self, key: Key, value: float) -> None:
        self.values.setdefault(key, []).append(value)


def run_rounds(notes: Notes, name: str, rounds: int, one: Callable[[Notes], None]) -> bool:
    """Run the rounds; one with a wrong or failed answer is void as a whole. Tells whether any stands."""
    standing = 0
    for number in range(1, rounds + 1):
        print(f"serving: {name}, round {number} of {rounds}", file=sys.stderr, flush=True)
        fresh = Notes()
        try:
            one(fresh)
        except WrongAnswerError as error:
            print(f"serving: {error}", file=sys.stderr, flush=True)
            notes.void.append(f"{name}, round {number}: {error}")
            continue
        standing += 1
        for key, values in fresh.values.items():
            for value in values:
                notes.add(key, value)
    return standing > 0
