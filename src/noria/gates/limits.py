"""Limits: how good is good enough, with the values that hold where nobody says otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from noria.errors import UsageError


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
    served_requests: int = 100
    latency_p95_ms: float = 50.0

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
