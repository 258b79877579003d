"""Small sources, made of the few rows that a test is about."""

from __future__ import annotations

from pathlib import Path

from noria.tasks.flights.source import Raw, read_raw

FLIGHT = {
    "year": 2013, "month": 6, "day": 10, "dep_time": 900, "sched_dep_time": 900, "dep_delay": 0, "arr_time": 1200,
    "sched_arr_time": 1200, "arr_delay": 0, "carrier": "UA", "flight": 1, "tailnum": "N1", "origin": "EWR",
    "dest": "MIA", "air_time": 150, "distance": 1085, "hour": 9, "minute": 0, "time_hour": "NA",
}  # fmt: skip
WEATHER = {
    "origin": "EWR", "temp": 70, "dewp": 50, "humid": 40, "wind_dir": 180, "wind_speed": 5, "wind_gust": "NA",
    "precip": 0, "pressure": 1013, "visib": 10, "time_hour": "2013-06-10T12:00:00Z",
}  # fmt: skip
PLANE = {"tailnum": "N1", "year": 2001, "type": "Fixed wing multi engine", "engines": 2, "seats": 150}
AIRPORTS = [
    {"faa": "MIA", "tzone": "America/New_York"},
    {"faa": "LAX", "tzone": "America/Los_Angeles"},
    {"faa": "ORD", "tzone": "America/Chicago"},
    {"faa": "HNL", "tzone": "Pacific/Honolulu"},
]


def write_source(folder: Path, *, flights=(), weather=(), planes=(), airports=AIRPORTS) -> Path:
    """Write the five files; what a row does not say is as in FLIGHT, WEATHER or PLANE."""
    files = {
        "flights": [FLIGHT | {"flight": n + 1} | row for n, row in enumerate(flights)] or [FLIGHT],
        "weather": [WEATHER | row for row in weather] or [WEATHER],
        "planes": [PLANE | row for row in planes] or [PLANE],
        "airports": airports,
        "airlines": [{"carrier": "UA", "name": "United"}],
    }
    for name, rows in files.items():
        lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def small_source(folder: Path, **rows) -> Raw:
    return read_raw(write_source(folder, **rows))


def counted(tallies) -> dict[str, int]:
    """What was counted, without what was looked for and not found."""
    return {tally.what: tally.rows for tally in tallies if tally.rows}
