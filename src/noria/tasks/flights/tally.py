"""Tally: what was found wrong or missing in the source, counted and left as it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Tally:
    """`rows` of the file `source` of which `what` is true; 0 is said as well, for it was looked for."""

    source: str
    what: str
    rows: int
