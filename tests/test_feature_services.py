"""Feature services: what cannot be meant is refused when it is written down."""

import math

import pytest

from noria.errors import UsageError
from noria.features import FeatureView, Field


@pytest.mark.parametrize("ttl", [0, -1, math.nan, 1e-7])
def test_a_ttl_below_a_microsecond_is_refused(ttl):
    with pytest.raises(UsageError, match="expected a microsecond or more"):
        FeatureView(name="stock", keys=("shop",), fields=(Field(name="n", type="int64"),), ttl_seconds=ttl)


@pytest.mark.parametrize(
    ("kind", "default"), [("float64", "x"), ("float64", 1), ("int64", 1.0), ("int64", True), ("string", 0)]
)
def test_a_default_of_another_type_is_refused(kind, default):
    with pytest.raises(UsageError, match=f"is {kind} and has default"):
        Field(name="n", type=kind, default=default)


@pytest.mark.parametrize(("kind", "default"), [("float64", 1.0), ("int64", 0), ("string", ""), ("string", None)])
def test_a_default_of_its_type_is_taken(kind, default):
    assert Field(name="n", type=kind, default=default).default == default
