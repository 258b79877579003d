"""Limits: how good is good enough, the values that hold where nobody says otherwise, and what departs from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from noria.errors import UsageError

# Which way a limit lets more pass. Two do in either way: a lower confidence makes it easier to be shown not worse as a
# whole, a higher one harder to be shown worse in a slice; and the more slices are judged, the more each is corrected.
LOOSER: dict[str, Literal["higher", "lower", "either"]] = {
    "margin": "higher",
    "slice_margin": "higher",
    "slice_rows": "either",
    "confidence": "either",
    "rows": "lower",
    "draws": "lower",
    "ece": "higher",
    "parity": "higher",
    "parity_rows": "lower",
    "served_difference": "higher",
    "served_requests": "lower",
    "latency_p95_ms": "higher",
    "rows_per_second": "lower",
    "memory_mib": "higher",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the gates hold a candidate to.

    `margin`, `slice_margin` and `confidence` have to be those that the evaluation was made with. A margin is a share of
    the dearest error: where all errors cost the same, 0.005 is half a point of accuracy.
    """

    margin: float = (
        0.005  # the whole may be this much worse than the champion, and it has to be shown that it is not more
    )
    slice_margin: float = 0.03  # wider, for a slice has fewer rows; here it has to be shown that it IS worse
    slice_rows: int = 50  # a smaller slice is named as not judged: its figures are mostly chance
    confidence: float = 0.95
    rows: int = 200  # held out; 200 rows give an interval of about 4 points at accuracy 0.9
    draws: int = 1000
    ece: float = 0.03
    parity: float = 1e-4  # of a probability; float32 kernels of two libraries differ by about 1e-6
    parity_rows: int = 100
    served_difference: float = 1e-5  # of a probability, between the server's answer and the same bundle offline
    served_requests: int = 100  # one after the other, and as many over several connections at once
    latency_p95_ms: float = 50.0
    rows_per_second: float = 100.0  # one a request; a busy laptop answers ten times as many
    memory_mib: float = 1024.0  # of the server's process

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0:
                raise UsageError(f"limit {field.name} is {value}: expected a finite number of at least 0")
        if not 0.5 <= self.confidence < 1.0:
            raise UsageError(f"limit confidence is {self.confidence}: expected at least 0.5 and below 1, such as 0.95")
        for name in ("slice_rows", "rows", "draws", "parity_rows", "served_requests"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"limit {name} is {getattr(self, name)}: expected at least 1, for no row proves nothing"
                )


@dataclass(frozen=True, kw_only=True)
class Departure:
    """A limit that a run sets otherwise than its environment does."""

    limit: str
    found: float
    expected: float  # the environment's own
    looser: bool  # whether it may let pass what the environment would keep out

    def __str__(self) -> str:
        return f"{self.limit} {self.found:g} ({'looser' if self.looser else 'tighter'} than {self.expected:g})"


def departures(limits: Limits, usual: Limits) -> tuple[Departure, ...]:
    """Every limit that differs from the usual one, the environment's own."""
    found = []
    for field in fields(Limits):
        value, expected = getattr(limits, field.name), getattr(usual, field.name)
        if value != expected:
            way = "higher" if value > expected else "lower"
            looser = LOOSER[field.name] in (way, "either")
            found.append(Departure(limit=field.name, found=value, expected=expected, looser=looser))
    return tuple(found)
