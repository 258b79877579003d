"""Schema: every column of a task's rows, and what may stand in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from noria.errors import UsageError

ColumnType = Literal[
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "string",
    "timestamp",
]
# `known` is the moment at which the label became known, `key` an entity's name by which features are found.
# `context` is joined, checked and described as a feature is, and no model ever takes it: people look at rows by it.
Role = Literal["id", "time", "feature", "label", "group", "owner", "known", "key", "context"]
PersonalClass = Literal["none", "pseudonymous", "personal", "sensitive"]

NUMPY_TYPES: Mapping[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    "int8": np.dtype(np.int8),
    "int16": np.dtype(np.int16),
    "int32": np.dtype(np.int32),
    "int64": np.dtype(np.int64),
    "uint8": np.dtype(np.uint8),
    "uint16": np.dtype(np.uint16),
    "uint32": np.dtype(np.uint32),
    "uint64": np.dtype(np.uint64),
    "float16": np.dtype(np.float16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "string": np.dtype(object),
    "timestamp": np.dtype("datetime64[us]"),
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    `shape` is the shape of one value: () for a number, (28, 28) for an image. `minimum` and `maximum` are inclusive, in
    `unit`. A `label` holds the index of its class, from 0. A `timestamp` is an instant in UTC with microseconds.
    `known` is the instant at which the row's label became known; rows of one `group` are never parted by a split.

    `choices` are to a text what bounds are to a number. Where `maximum_null_share` is above 0, any other text is taken
    for one that is missing, and may be asked about; where it is 0, any other text is wrong.
    """

    name: str
    type: ColumnType
    role: Role
    shape: tuple[int, ...] = ()
    unit: str = ""
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    maximum_null_share: float = 0.0
    choices: tuple[str, ...] = ()  # the texts that a model knows, in the order of their places from 1
    personal: PersonalClass = "none"
    owner: str = ""  # who answers for the values: a team, a system, a publisher

    def __post_init__(self) -> None:
        for value, allowed, what in (
            (self.type, get_args(ColumnType), "type"),
            (self.role, get_args(Role), "role"),
            (self.personal, get_args(PersonalClass), "personal-data class"),
        ):
            if value not in allowed:
                raise UsageError(f"column {self.name!r} has {what} {value!r}: expected one of {', '.join(allowed)}")
        if self.choices:
            self._check_choices()

    def _check_choices(self) -> None:
        if self.type != "string":
            raise UsageError(f"column {self.name!r} has choices and type {self.type}: only a string column has them")
        if "" in self.choices:
            raise UsageError(f"column {self.name!r} has an empty text among its choices: that one means missing")
        twice = sorted({choice for choice in self.choices if self.choices.count(choice) > 1})
        if twice:
            raise UsageError(f"column {self.name!r} has the choices {', '.join(twice)} twice: a choice has one place")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of the column in memory; strings are objects."""
        return NUMPY_TYPES[self.type]

    @property
    def size(self) -> int:
        """How many numbers one value is made of."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The columns of a task, in order; exactly one each of the roles id, time and label, and at most one known."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"the schema names {', '.join(twice)} twice: a column has one place")
        for role in ("id", "time", "label"):
            found = [column.name for column in self.columns if column.role == role]
            if len(found) != 1:
                raise UsageError(f"the schema has {len(found)} columns of role {role!r} {found}: expected exactly one")
        known = [column.name for column in self.columns if column.role == "known"]
        if len(known) > 1 or any(self[name].type != "timestamp" for name in known):
            raise UsageError(f"the schema has columns of role 'known' {known}: expected at most one, a timestamp")
        if not self.features:
            raise UsageError("the schema has no column of role 'feature': a model needs at least one")

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise UsageError(f"no column {name!r}: the schema has {', '.join(column.name for column in self.columns)}")

    def _of_role(self, role: Role) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.role == role)

    @property
    def features(self) -> tuple[Column, ...]:
        """The model's inputs, in the order in which the network takes them."""
        return self._of_role("feature")

    @property
    def described(self) -> tuple[Column, ...]:
        """The model's inputs and the context, in the schema's order: what is known of a row when it is asked about."""
        return tuple(column for column in self.columns if column.role in ("feature", "context"))

    @property
    def id(self) -> Column:
        return self._of_role("id")[0]

    @property
    def time(self) -> Column:
        return self._of_role("time")[0]

    @property
    def label(self) -> Column:
        return self._of_role("label")[0]

    @property
    def known(self) -> Column | None:
        """The moment at which the label became known; None where a row comes with its label."""
        return next(iter(self._of_role("known")), None)

    @property
    def groups(self) -> tuple[Column, ...]:
        """Columns whose equal values tie rows together."""
        return self._of_role("group")
