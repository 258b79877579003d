"""Moments: for when a prediction is asked, as text by ISO 8601 or as microseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.schema import Column
from serving.features.plan import FIRST, LAST
from serving.refusal import RequestError, show
from serving.tensors import ColumnReader

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class MomentReader(ColumnReader):
    """Reads the moments of V1, where they may be texts; V2 has them as INT64, like any whole number."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self.texts = 1
        self.row_type = int | str

    def gather(self, values: list[Any], rows: int) -> NDArray[Any]:  # noqa: ARG002 - as any column's
        """The moments of all rows, in µs since 1970."""
        return np.array([self._read(value, place) for place, value in enumerate(values)], np.int64)

    def count_gaps(self, values: list[Any]) -> int:
        """How many of them are no texts."""
        return sum(not isinstance(value, str) for value in values)

    def _read(self, value: int | str, place: int) -> int:
        moment = value
        if isinstance(moment, str):
            try:
                read = datetime.fromisoformat(moment)
                # One without a zone is UTC, as everywhere in Noria.
                moment = ((read if read.tzinfo else read.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND
            except (ValueError, OverflowError):
                raise self._refuse(value, place) from None
        if not FIRST <= moment <= LAST:
            raise self._refuse(value, place)
        return moment

    def _refuse(self, value: object, place: int) -> RequestError:
        return RequestError(
            f"data of {self.column.name!r} has {show(value)} at [{place}]: expected a moment from 1980 to 2200, as "
            "ISO 8601 such as '2026-01-31T12:00:00Z', or in microseconds since 1970"
        )
