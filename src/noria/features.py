"""Features: what a task's feature service is made of, in Feast's terms and without Feast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from noria.errors import UsageError

FieldType = Literal["int64", "float64", "string"]
Stored = int | float | str | None
MINUTE, MICROSECOND = 60.0, 1e-6
_KINDS: Mapping[str, type] = {"int64": int, "float64": float, "string": str}


@dataclass(frozen=True, kw_only=True)
class Field:
    """A value of a view's rows; `default` stands for one that is not known, in training as in serving.

    Without a default such a value is missing: the schema's column has to allow that.
    """

    name: str
    type: FieldType
    default: Stored = None

    def __post_init__(self) -> None:
        if self.type not in get_args(FieldType):
            raise UsageError(
                f"field {self.name!r} has type {self.type!r}: expected one of {', '.join(get_args(FieldType))}"
            )
        if self.default is not None and type(self.default) is not (kind := _KINDS[self.type]):
            raise UsageError(f"field {self.name!r} is {self.type} and has default {self.default!r}: expected {kind}")


@dataclass(frozen=True, kw_only=True)
class FeatureView:
    """A table of features by entity key: <name>.parquet with the keys, `event_timestamp` and the fields.

    A row's `event_timestamp` is the moment from which its values were known. They are believed for `ttl_seconds` from
    then on, both ends included.
    """

    name: str
    keys: tuple[str, ...]  # columns of the task's events
    fields: tuple[Field, ...]
    ttl_seconds: float

    def __post_init__(self) -> None:
        if not self.keys or not self.fields:
            raise UsageError(
                f"view {self.name!r} has {len(self.keys)} keys and {len(self.fields)} fields: expected both"
            )
        if not self.ttl_seconds >= MICROSECOND:
            raise UsageError(f"view {self.name!r} has a ttl of {self.ttl_seconds} s: expected a microsecond or more")


@dataclass(frozen=True, kw_only=True)
class Age:
    """A feature that is worked out when the question is asked: the minutes since the instant that a field holds.

    `of` names a float64 field with an instant, in seconds since 1970; the schema says whether that is a feature, too.
    """

    name: str
    of: str


@dataclass(frozen=True, kw_only=True)
class FeatureService:
    """What models of a task are trained on and served with; a changed one gets a new version in its name."""

    name: str
    views: tuple[FeatureView, ...]
    ages: tuple[Age, ...] = ()

    def __post_init__(self) -> None:
        fields = [field.name for field in self.fields()]
        names = [*fields, *(age.name for age in self.ages)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"service {self.name!r} has {', '.join(twice)} twice: expected each feature once")
        if strange := sorted({age.of for age in self.ages} - set(fields)):
            raise UsageError(f"service {self.name!r} has ages of {', '.join(strange)}: there are {', '.join(fields)}")

    def fields(self) -> Iterator[Field]:
        """All fields of all views, in their order."""
        for view in self.views:
            yield from view.fields

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that a question has to have, each once."""
        return tuple(dict.fromkeys(key for view in self.views for key in view.keys))


def age_minutes(asked: NDArray[np.int64], instants: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minutes from the instants, in seconds since 1970, to when was asked, in microseconds; NaN where none is known."""
    return (asked / 1e6 - instants) / MINUTE
