"""Rows: any values come back as they were, and what is no row of the view is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_views import PACKER, STOCK, packed

from noria.errors import StoreError, UsageError
from noria.features import FeatureView, Field
from noria.stores.online.rows import STAMPS, OnlineRow, Packer, row_key, view_of

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters())
VALUES = {"int64": INTEGERS, "float64": st.floats(allow_nan=False), "string": TEXTS}
KEYS = st.lists(st.one_of(TEXTS, st.integers()), max_size=3)


@st.composite
def views_and_rows(draw):
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=20))
    fields = tuple(Field(name=f"f{place}", type=kind) for place, kind in enumerate(kinds))
    values = tuple(draw(st.one_of(st.none(), VALUES[kind])) for kind in kinds)
    view = FeatureView(name="any", keys=("key",), fields=fields, ttl_seconds=1)
    return view, OnlineRow(event=draw(INTEGERS), created=draw(INTEGERS), values=values)


@given(views_and_rows())
def test_a_row_comes_back_as_it_was_packed(made):
    view, row = made
    assert Packer(view).unpack(Packer(view).pack(row)) == row


@given(st.lists(st.tuples(INTEGERS, INTEGERS), min_size=2))
def test_the_first_bytes_are_in_the_order_of_the_instants(instants):
    stamps = [packed(event, created=created)[:STAMPS] for event, created in instants]
    assert [instants[place] for place in sorted(range(len(stamps)), key=stamps.__getitem__)] == sorted(instants)


@given(TEXTS, KEYS, TEXTS, KEYS)
def test_only_one_entity_of_one_view_has_a_key(view, keys, other, others):
    assert (row_key(view, keys) == row_key(other, others)) == ((view, keys) == (other, others))
    assert view_of(row_key(view, keys)) == view


def test_separators_in_keys_do_not_make_two_entities_one():
    assert row_key("route", ("JFK", "LAX")) == b"noria:5:route3:JFK3:LAX"
    assert row_key("v", ("a1:b", "c")) != row_key("v", ("a", "b1:c"))
    assert row_key("v", (1, 2)) != row_key("v", (12,))
    assert row_key("v", (1,)) != row_key("v", ("1",)) != row_key("v", ("i1e",))


def test_not_a_number_is_a_missing_value():
    assert PACKER.unpack(packed(1, None, price=float("nan"), label=None)).values == (None, None, None)


@given(st.data())
def test_a_row_of_which_a_byte_is_missing_or_altered_is_refused(data):
    row = packed(1, 2, label="some text")
    place = data.draw(st.integers(0, len(row) - 1))
    torn = row[:place] if data.draw(st.booleans()) else row[:place] + bytes([row[place] ^ 1]) + row[place + 1 :]
    with pytest.raises(StoreError, match=r"torn, \d+ bytes: expected .*; materialise the view again"):
        PACKER.unpack(torn)


@pytest.mark.parametrize(
    "fields",
    [STOCK.fields[:2], tuple(reversed(STOCK.fields)), (replace(STOCK.fields[0], name="other"), *STOCK.fields[1:])],
    ids=["fewer", "turned", "renamed"],
)
def test_a_row_of_another_layout_is_refused(fields):
    changed = Packer(replace(STOCK, fields=fields))
    with pytest.raises(StoreError, match=r"has the layout [0-9a-f]{8}: expected .*give a changed view a new name"):
        changed.unpack(packed(1))


def test_a_default_does_not_change_the_layout():
    changed = Packer(replace(STOCK, fields=tuple(replace(field, default=None) for field in STOCK.fields)))
    assert changed.unpack(packed(1)) == PACKER.unpack(packed(1))


@pytest.mark.parametrize("values", [(1.5, 1.0, "a"), ("1", 1.0, "a"), (1, "1", "a"), (1, 1.0, 1), (2**63, 1.0, "a")])
def test_a_value_that_its_field_cannot_hold_is_refused(values):
    with pytest.raises(UsageError, match=r"expected"):
        PACKER.pack(OnlineRow(event=1, created=0, values=values))


def test_a_row_with_too_few_values_is_refused():
    with pytest.raises(UsageError, match=r"has 2 values: expected 3, those of the fields pieces"):
        PACKER.pack(OnlineRow(event=1, created=0, values=(1, 2.0)))
