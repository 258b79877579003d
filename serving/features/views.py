"""Views: one feature view's rows, from what the store holds to values that the model may be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from noria.errors import StoreError
from noria.features import FeatureView, Stored
from noria.schema import Column
from noria.stores.online.rows import OnlineRow, Packer, row_key
from serving.features.note import Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What is known of an entity: its row, the status of a row that holds, and of one that does not."""

    row: OnlineRow | None
    status: Status
    missing: Status


class ViewReader:
    """Reads one view's rows; `columns` are the model's features by name."""

    def __init__(self, view: FeatureView, columns: Mapping[str, Column]) -> None:
        self.name = view.name
        self.keys = view.keys
        self.fields = tuple(field.name for field in view.fields)
        self.defaults: tuple[Stored, ...] = tuple(field.default for field in view.fields)
        self._packer = Packer(view)
        self._ttl = round(view.ttl_seconds * 1e6)
        self._has_defaults = any(default is not None for default in self.defaults)
        self._limits = [
            (place, *_limits(columns.get(field.name)))
            for place, field in enumerate(view.fields)
            if field.type != "string"
        ]

    def keys_of(self, entities: Mapping[str, Sequence[str | int]]) -> list[bytes | None]:
        """The store's key for each row; None where a part of it is missing, as null is no key to a join either."""
        parts = zip(*(entities[key] for key in self.keys), strict=True)
        return [None if "" in part else row_key(self.name, part) for part in parts]

    def unpack(self, data: bytes) -> OnlineRow:
        """Read a row; StoreError where it is torn, of another layout, or holds what the model's schema excludes."""
        row = self._packer.unpack(data)
        values = row.values
        for place, low, high in self._limits:
            value = values[place]
            if value is not None and not low <= value <= high:
                raise StoreError(
                    f"a row of view {self.name} has {self.fields[place]} {value}: expected {low} to {high}, as the "
                    "bundle's schema says; mend the feature's source"
                )
        return row

    def choose(self, found: Found, moment: int, leeway: int) -> tuple[Status, OnlineRow | None]:
        """Whether what was found holds at the moment, both in µs; without its row where it does not.

        A row counts from its event on and for its ttl, both ends included. It may be `leeway` ahead of the moment.
        """
        row = found.row
        if row is None:
            return found.missing, None
        if row.event > moment + leeway:
            return ("newer" if found.status == "fresh" else found.missing), None
        if moment - row.event > self._ttl:
            return ("expired" if found.status == "fresh" else found.missing), None
        return found.status, row

    def values_of(self, row: OnlineRow | None) -> tuple[Stored, ...]:
        """The row's values, with the defaults for those that are missing."""
        if row is None:
            return self.defaults
        if self._has_defaults and None in row.values:
            return tuple(
                default if value is None else value for value, default in zip(row.values, self.defaults, strict=True)
            )
        return row.values


def _limits(column: Column | None) -> tuple[Any, Any]:
    """What a number of this column may be; of a field that is none of the model's features, any finite number."""
    if column is None or column.dtype.kind == "f":
        real = np.finfo(np.float64 if column is None else column.dtype)
        low, high = float(real.min), float(real.max)
    else:
        whole = np.iinfo(column.dtype)
        low, high = whole.min, whole.max
    if column is not None and column.minimum is not None:
        low = max(low, column.minimum)
    if column is not None and column.maximum is not None:
        high = min(high, column.maximum)
    return low, high
