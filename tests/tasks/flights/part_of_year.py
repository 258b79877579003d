"""Some days of the year's real files, as a source of its own: a whole year takes long, and tells no more."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from known_flights import rows_of

FILES = ("flights", "weather", "planes", "airports", "airlines")


def write_part(data: Path, folder: Path, days: Sequence[tuple[int, int]]) -> Path:
    """Write the five files with the flights and the weather of these days (month, day), and the other files whole."""
    folder.mkdir(parents=True)
    for name in FILES:
        rows = rows_of(data, name)
        if name in ("flights", "weather"):
            rows = [row for row in rows if (int(row["month"]), int(row["day"])) in days]
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder
