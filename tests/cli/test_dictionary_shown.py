"""A dataset's columns in a terminal of 100 columns: names whole, owners and persons named once, counts told."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from noria.cli.dictionary import show_dictionary
from noria.ml.dataset import DatasetFacts
from noria.ml.dictionary import ColumnFacts
from noria.schema import Column, Schema
from noria.task import Tally

LONG = "origin_congestion_late_share_3h"
SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="size", type="float32", role="feature"),
        Column(name="label", type="int64", role="label"),
    )
)


def facts_of(*tallies: Tally) -> DatasetFacts:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    return DatasetFacts(task="sales", schema=SCHEMA, rows=12_345, start=day, end=day, files={}, tallies=tallies)


def column(name: str, owner: str, **more: object) -> ColumnFacts:
    given: dict[str, object] = {
        "type": "float64", "shape": (), "unit": "", "description": "", "role": "feature", "personal": "none",
        "rows": 10, "null_share": 0.0731, "maximum_null_share": 0.9, "minimum": 0.0, "maximum": 1.0,
        "observed_minimum": 0.0134683, "observed_maximum": 0.863799, "distinct": 7,
    }  # fmt: skip
    return ColumnFacts(name=name, owner=owner, **(given | more))  # type: ignore[arg-type]


def shown(columns: list[ColumnFacts], facts: DatasetFacts) -> str:
    stream = io.StringIO()
    show_dictionary(Console(file=stream, width=100), "ab" * 32, columns, facts)
    return stream.getvalue()


def test_names_are_whole_and_no_line_is_longer_than_the_terminal():
    text = shown([column(LONG, "Noria", unit="grey level"), column("seller", "Sales", personal="personal")], facts_of())
    assert LONG in text
    assert "7.31%" in text
    assert "0.01347 to 0.8638" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100


def test_who_answers_and_what_is_about_persons_is_said_once():
    text = shown([column("a", "Noria"), column("b", "Noria"), column("seller", "", personal="personal")], facts_of())
    assert " Noria: a, b\n" in text
    assert " nobody: seller\n" in text
    assert "About persons\n seller: personal" in text
    assert "Counted" not in text


def test_what_was_counted_is_told_with_what_is_left_out_first():
    counted = facts_of(
        Tally(source="sales", what="rows", rows=9000),
        Tally(source="sales", what="of another shop", rows=0),
        Tally(source="sales", what="without a price", rows=1200, left_out=True),
    )
    text = shown([column("a", "Noria")], counted)
    assert "Counted\n 1,200 of sales: without a price\n 9,000 of sales: rows\n" in text
    assert "another shop" not in text
