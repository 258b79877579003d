"""Online tables: random feature tables of flights_v1, with as many keys as a year of flights has, and questions.

Every value is one that the schema lets in, and none is too old at AS_OF: a predictor gives what it finds, then.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from noria.features import Field
from noria.schema import Column

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
AS_OF = BEGIN + timedelta(days=2)
MISSING = 0.1
VALUES = {
    "carrier": [f"C{number}" for number in range(12)],
    "origin": ["EWR", "JFK", "LGA"],
    "dest": [f"D{number:02}" for number in range(75)],
    "tailnum": [f"N{number:04}" for number in range(4000)],
}


def write_tables(folder: Path) -> int:
    """Write <view>.parquet with one row a key, a tenth of the numbers missing; how many keys there are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from noria.tasks.flights.schema import ROWS
    from noria.tasks.flights.service import SERVICE

    columns = {column.name: column for column in ROWS.columns}
    folder.mkdir(parents=True)
    chance, keys = random.Random(5), 0
    types = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}
    for view in SERVICE.views:
        entities = list(product(*(VALUES[key] for key in view.keys)))
        keys += len(entities)
        table: dict[str, Any] = {key: [each[place] for each in entities] for place, key in enumerate(view.keys)}
        moments = [AS_OF - chance.random() * timedelta(hours=1) for _ in entities]
        table["event_timestamp"] = pa.array(moments, pa.timestamp("us", tz="UTC"))
        for field in view.fields:
            values = [_value(field, columns.get(field.name), chance) for _ in entities]
            table[field.name] = pa.array(values, types[field.type])
        pq.write_table(pa.table(table), folder / f"{view.name}.parquet")
    return keys


def make_questions(rows: int) -> list[dict[str, str]]:
    """Flights to ask about, whose entities are all known."""
    chance = random.Random(6)
    return [{key: chance.choice(values) for key, values in VALUES.items()} for _ in range(rows)]


def _value(field: Field, column: Column | None, chance: random.Random) -> int | float | str | None:
    if column is None:  # an instant, of which the predictor makes an age
        return AS_OF.timestamp() - chance.uniform(0, 86_400)
    if field.type == "int64":
        return chance.randrange(200)
    if chance.random() < MISSING:
        return None
    if field.type == "string":
        return chance.choice(column.choices)
    return chance.uniform(*(0.0 if bound is None else bound for bound in (column.minimum, column.maximum)))
