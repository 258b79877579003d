"""Groups: parameters that hold several values, turned into types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import msgspec

from noria.errors import UsageError
from noria.steps.words import ask_back
from noria.task import Value

T = TypeVar("T")


def read_values(given: Mapping[str, Any]) -> dict[str, Value]:
    """The values as they were written: KFP hands every number in a group on as a float, 8 as 8.0."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in given.items()
    }


def read_group(name: str, given: Mapping[str, Any], kind: type[T]) -> T:
    """Turn a group into its type; UsageError names a key that nobody knows, or a value that does not fit."""
    known = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    if unknown := sorted(set(given) - set(known)):
        asked = ask_back(unknown[0], known) if len(unknown) == 1 else ""
        raise UsageError(f"{name} has no {', '.join(unknown)}: there are {', '.join(known)}{asked}")
    try:
        return msgspec.convert(read_values(given), kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name} has a value that does not fit: {error}") from error
