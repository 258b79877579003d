"""Parity facts: what was ingested for a dataset is told by its own file, as far as that says it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noria.cli.parity import compare
from noria.cli.parity_facts import EVENTS, TABLES, Ran, ingested
from noria.errors import LedgerError
from noria.ml.dataset import table_of, write_dataset
from noria.schema import Column, Schema
from noria.stores.folder import FolderStore

MADE_OF = {"events": "e" * 64, "tables": "f" * 64}
SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="size", type="float32", role="feature"),
        Column(name="label", type="int64", role="label"),
    )
)


def publish(folder: Path, made_of: dict[str, str] | None) -> tuple[FolderStore, str]:
    rows = {"id": np.array(["a"], object), "time": np.array(["2026-01-01"], "M8[us]")}
    rows |= {"size": np.ones(1, np.float32), "label": np.zeros(1, np.int64)}
    made = write_dataset(folder / "made", "fashion", SCHEMA, [table_of(SCHEMA, rows)], made_of=made_of)
    store = FolderStore(folder / "objects")
    store.put_folder(f"datasets/{made.digest}", made.folder)
    return store, made.digest


def test_a_joined_dataset_tells_its_events_and_its_tables(tmp_path: Path) -> None:
    store, digest = publish(tmp_path, MADE_OF)
    assert ingested(store, digest, "fashion") == {EVENTS: "e" * 64, TABLES: "f" * 64}


def test_one_of_before_they_were_kept_tells_nothing_and_so_does_one_that_is_gone(tmp_path: Path) -> None:
    store, digest = publish(tmp_path, None)
    assert ingested(store, digest, "fashion") is None
    assert ingested(store, "0" * 64, "fashion") is None


def test_one_that_was_altered_is_no_basis_for_a_comparison(tmp_path: Path) -> None:
    store, digest = publish(tmp_path, MADE_OF)
    store.put(f"datasets/{digest}/dataset.json", b"{}")
    with pytest.raises(LedgerError, match=f"dataset {digest[:12]} in .* was altered"):
        ingested(store, digest, "fashion")


def test_other_tables_are_a_difference_and_what_is_not_kept_is_none() -> None:
    def ran(**facts: str) -> Ran:
        return Ran(place="here", run="1", facts={"plan": "p", **facts}, figures={}, parameters={})

    one, other = ran(events="e", tables="f"), ran(events="e", tables="g")
    found = compare(one, other, "fashion")
    assert [(each.what, each.equal) for each in found.compared] == [("plan", True), ("events", True), ("tables", False)]
    gone = Ran(place="there", run="2", facts={"plan": "p"}, figures={}, parameters={}, lacks="it is gone",
               unknown=("events", "tables"))  # fmt: skip
    assert compare(one, gone, "fashion").equal
    assert compare(one, gone, "fashion").lacks == ("there: it is gone",)
