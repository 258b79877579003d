"""Memory: the rows that this process has read last, as many as it may keep."""

from __future__ import annotations


class Memory:
    """Keeps packed rows by key; the one that was used longest ago goes first. Keys without a row are never kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def keep(self, key: bytes, row: bytes) -> None:
        """Note what the store has just said."""
        rows = self._rows
        rows.pop(key, None)
        rows[key] = row
        if len(rows) > self._most:
            del rows[next(iter(rows))]

    def find(self, key: bytes) -> bytes | None:
        """The row, if it is still known."""
        return self._rows.get(key)
