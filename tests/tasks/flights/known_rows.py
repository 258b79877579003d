"""Rows that a schema allows, made at random: what may be missing is missing in a third of the rows."""

import numpy as np

MISSING = 1 / 3


def make_rows(schema, count, seed=1):
    draw = np.random.default_rng(seed)
    rows = {}
    for column in schema.features:
        gone = draw.random(count) < (MISSING if column.maximum_null_share else 0)
        if column.type == "string":
            texts = np.array(["", *column.choices], object)
            values = texts[draw.integers(1, len(texts), count)]
            values[gone] = None
        elif column.dtype.kind == "f":
            values = draw.uniform(column.minimum, column.maximum, count).astype(column.dtype)
            values[gone] = np.nan
        else:
            values = draw.integers(int(column.minimum), int(column.maximum) + 1, count).astype(column.dtype)
        rows[column.name] = values
    return rows
