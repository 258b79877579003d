"""Quantities: amounts as Kubernetes writes them, which it writes anew: 1000m comes back as 1, and 2048Mi as 2Gi."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

AMOUNTS = frozenset({"requests", "limits"})  # the keys of an object below which all values are amounts


def is_same_amount(one: Any, other: Any) -> bool:
    """Whether both are the same amount; what is none is compared as it is."""
    first, second = _amount(one), _amount(other)
    return bool(one == other) or (first is not None and first == second)


def _amount(value: Any) -> Decimal | None:
    from kubernetes.utils import parse_quantity

    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return Decimal(parse_quantity(str(value)))
    except ValueError:
        return None
