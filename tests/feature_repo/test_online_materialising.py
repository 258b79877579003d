"""Materialising: what was known at a moment is what is served, whole, and newer values stay."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from online_shop import BEGIN, HOUR, INSTANT, SHOP, STOCK, WAYS, at, kept, write_shop

from feature_repo.materialising import materialise, newest_moment
from noria.errors import SourceError, UsageError
from noria.stores.online.rows import Packer, row_key
from noria.stores.online.store import OnlineStore

pytestmark = pytest.mark.xdist_group("online")
ROOT = Path(__file__).parents[2]
ANY = examples(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_the_newest_row_at_or_before_the_moment_is_served(online: OnlineStore, tmp_path: Path) -> None:
    rows = [("a", 0, 1, 0.5, "x"), ("a", 2, 3, None, None), ("a", 1, 2, 0.7, "y"), ("b", 2.5, 4, 1.0, "ü:\0")]
    tables = write_shop(tmp_path, rows, [("a", "b", 1, 2.5), ("b", "a", 1, None)])
    done = materialise(online, SHOP, tables, at(2))
    assert kept(online, STOCK, "a") == (2.0, (3, None, None))
    assert kept(online, STOCK, "b") is None
    assert (kept(online, WAYS, "a", "b"), kept(online, WAYS, "b", "a")) == ((1.0, (2.5,)), (1.0, (None,)))
    assert {name: (view.seen, view.written) for name, view in done.views.items()} == {"stock": (1, 1), "ways": (2, 2)}
    materialise(online, SHOP, tables, at(2.5))
    assert kept(online, STOCK, "b") == (2.5, (4, 1.0, "ü:\0"))


def test_a_repeated_materialisation_changes_nothing(online: OnlineStore, tmp_path: Path) -> None:
    tables = write_shop(tmp_path, [("a", 0, 1, 0.5, "x")])
    materialise(online, SHOP, tables, at(2))
    done = materialise(online, SHOP, tables, at(2))
    assert (done.views["stock"].written, done.views["stock"].same) == (0, 1)
    assert set(online.marks()) == {"stock", "ways"}


@pytest.mark.parametrize(
    ("lateness", "expected"), [(2 * HOUR, 0.5), (timedelta(hours=1.5), 0.5), (HOUR, 0), (None, 0.5)]
)
def test_a_late_row_gets_in_if_it_comes_within_the_lateness(
    online: OnlineStore, tmp_path: Path, lateness: timedelta | None, expected: float
) -> None:
    materialise(online, SHOP, write_shop(tmp_path, [("a", 0, 1, 0.5, "x")]), at(2))
    write_shop(tmp_path, [("a", 0, 1, 0.5, "x"), ("a", 0.5, 2, 0.5, "late"), ("b", 3, 1, 1.0, "b")])
    done = materialise(online, SHOP, tmp_path, at(3), lateness=lateness)
    assert kept(online, STOCK, "a")[0] == expected
    assert kept(online, STOCK, "b")[0] == 3
    assert done.views["stock"].since == (None if lateness is None else at(2) - lateness)


def test_a_mark_that_lies_ahead_hides_nothing(online: OnlineStore, tmp_path: Path) -> None:
    materialise(online, SHOP, write_shop(tmp_path, [("a", 0, 1, 0.5, "x")]), at(100_000))
    write_shop(tmp_path, [("a", 0, 1, 0.5, "x"), ("a", 500, 2, 0.5, "new")])
    assert materialise(online, SHOP, tmp_path, at(500)).views["stock"].since == at(500) - 24 * HOUR
    assert kept(online, STOCK, "a") == (500.0, (2, 0.5, "new"))


@pytest.mark.parametrize(("years", "whole"), [(1900, False), (2100, True)])
def test_a_lateness_reaches_as_far_back_as_the_calendar(
    online: OnlineStore, tmp_path: Path, years: int, whole: bool
) -> None:
    materialise(online, SHOP, write_shop(tmp_path, [("b", 0, 1, 0.5, "x")]), at(2))
    write_shop(tmp_path, [("a", 0, 1, 0.5, "x")])
    done = materialise(online, SHOP, tmp_path, at(2), lateness=timedelta(days=365) * years)
    assert (done.views["stock"].since is None) == whole
    assert kept(online, STOCK, "a") == (0.0, (1, 0.5, "x"))


def test_an_older_moment_takes_nothing_back(online: OnlineStore, tmp_path: Path) -> None:
    tables = write_shop(tmp_path, [("a", 0, 1, 0.5, "x"), ("a", 3, 2, 0.5, "y")])
    materialise(online, SHOP, tables, at(3))
    done = materialise(online, SHOP, tables, at(1), lateness=None)
    assert (done.views["stock"].written, done.views["stock"].older) == (0, 1)
    assert kept(online, STOCK, "a")[0] == 3
    assert set(online.marks().values()) == {
        (at(3) - datetime.fromtimestamp(0, BEGIN.tzinfo)) // timedelta(microseconds=1)
    }


def test_what_was_pushed_and_is_newer_stays(online: OnlineStore, tmp_path: Path) -> None:
    tables = write_shop(tmp_path, [("a", 0, 1, 0.5, "x"), ("b", 0, 1, 0.5, "x")])
    ahead = write_shop(tmp_path / "ahead", [("a", 5, 9, 0.5, "pushed")])
    materialise(online, SHOP, ahead, at(5))
    materialise(online, SHOP, tables, at(2), lateness=None)
    assert kept(online, STOCK, "a") == (5.0, (9, 0.5, "pushed"))
    assert kept(online, STOCK, "b")[0] == 0


@ANY
@given(
    arrivals=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 9)), max_size=8),
    order=st.permutations((1, 3, 5)),
)
def test_runs_in_any_order_with_all_rows_end_alike(online: OnlineStore, tmp_path: Path, arrivals, order) -> None:
    """Every run sees all rows that have come; the moments of the runs come in any order."""
    for view in SHOP.views:
        online.remove(view.name)
    tables = write_shop(tmp_path, [(shop, hours, value, None, None) for shop, hours, value in arrivals])
    for moment in order:
        materialise(online, SHOP, tables, at(moment))
    for shop in "ab":
        own = [(hours, place, value) for place, (name, hours, value) in enumerate(arrivals) if name == shop]
        expected = max(own)[0::2] if own else None
        found = kept(online, STOCK, shop)
        assert (None if found is None else (found[0], found[1][0])) == expected


def test_a_row_without_a_key_is_counted_and_nobodys(online: OnlineStore, tmp_path: Path) -> None:
    done = materialise(online, SHOP, write_shop(tmp_path, [(None, 0, 1, 0.5, "x"), ("a", 0, 1, 0.5, "x")]), at(1))
    assert (done.views["stock"].seen, done.views["stock"].without_key) == (1, 1)


def test_a_missing_table_leaves_the_others_as_they_were(online: OnlineStore, tmp_path: Path) -> None:
    tables = write_shop(tmp_path, [("a", 0, 1, 0.5, "x")])
    (tables / "ways.parquet").unlink()
    with pytest.raises(SourceError, match=r"ways.parquet"):
        materialise(online, SHOP, tables, at(1))
    assert kept(online, STOCK, "a") is None
    assert online.marks() == {}


def test_a_moment_without_a_zone_is_refused(online: OnlineStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lacks a time zone"):
        materialise(online, SHOP, tmp_path, datetime(2026, 1, 1))  # noqa: DTZ001 - that is the fault


def test_the_newest_moment_is_that_of_all_tables(tmp_path: Path) -> None:
    assert newest_moment(SHOP, write_shop(tmp_path)) is None
    assert newest_moment(SHOP, write_shop(tmp_path, [("a", 1, 1, 0.5, "x")], [("a", "b", 3, 1.0)])) == at(3)


MANY = 4000
PROGRAM = """
import sys
from pathlib import Path
from online_shop import SHOP, at
from feature_repo.materialising import materialise
from noria.stores.online.store import open_online

store = open_online(sys.argv[1])
print("ready", flush=True)
materialise(store, SHOP, Path(sys.argv[2]), at(2))
print("done", flush=True)
"""


def write_many(folder: Path) -> Path:
    names = [f"shop {number}" for number in range(MANY)]
    for view in SHOP.views:
        table = dict.fromkeys(view.keys, names * 2)
        table["event_timestamp"] = pa.array([at(1)] * MANY + [at(2)] * MANY, INSTANT)
        for field in view.fields:
            table[field.name] = pa.array(["1"] * MANY + ["2"] * MANY).cast(
                {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}[field.type]
            )
        folder.mkdir(exist_ok=True)
        pq.write_table(pa.table(table), folder / f"{view.name}.parquet")
    return folder


def test_a_killed_materialisation_leaves_what_was_served(
    online: OnlineStore, online_address: str, tmp_path: Path
) -> None:
    tables = write_many(tmp_path / "tables")
    names = [f"shop {number}" for number in range(0, MANY, 7)]
    keys = [row_key(view.name, [name] * len(view.keys)) for view in SHOP.views for name in names]
    packers = [Packer(view) for view in SHOP.views for _ in names]
    path = f"{ROOT}:{Path(__file__).parent}"
    chance, seen = random.Random(4), set()
    for _ in range(3):
        for view in SHOP.views:
            online.remove(view.name)
        materialise(online, SHOP, tables, at(1))
        command = [sys.executable, "-c", PROGRAM, online_address, str(tables)]
        env = {"PYTHONPATH": path, "NORIA_HOME": str(tmp_path / "home")}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "ready\n"
            until = time.monotonic() + chance.uniform(0, 0.35)
            while time.monotonic() < until:
                pass
            run.send_signal(signal.SIGKILL)
            ended = run.stdout.read()
        online.write([])  # a server is done with what it got before the kill
        rows = [packer.unpack(data).event for packer, data in zip(packers, online.read(keys), strict=True)]
        marks = set(online.marks().values())
        assert len(set(rows)) == 1
        assert set(rows) == marks
        seen.add(ended)
    assert "" in seen, "no run was killed before its end"
