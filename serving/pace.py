"""Pace: what a batch of so many rows takes, learnt while serving."""

from __future__ import annotations

NEW = 0.2  # weight of the newest batch in the model's pace


class PaceTable:
    """What a batch takes, learnt for each size: a call has a cost of its own, so a row's share is not the same in all.

    Sizes that share their highest bit share an entry; between entries a batch is taken for the next larger one that is
    known, or for several of the largest.
    """

    def __init__(self, seconds_per_row: float) -> None:
        self._known: dict[int, float] = {}
        self._first = seconds_per_row

    def learn(self, rows: int, seconds: float) -> None:
        """Note a batch of so many rows, and what it took."""
        size = rows.bit_length()
        before = self._known.get(size)
        self._known[size] = seconds if before is None else before + (seconds - before) * NEW

    def seconds_for(self, rows: int) -> float:
        """What a batch of so many rows will take, by the last ones; 0 for none."""
        if rows == 0:
            return 0.0
        if not self._known:
            return rows * self._first
        size = rows.bit_length()
        if (seconds := self._known.get(size)) is not None:
            return seconds
        larger = [known for known in self._known if known > size]
        if larger:
            return self._known[min(larger)]
        largest = max(self._known)
        return self._known[largest] * 2.0 ** (size - largest)
