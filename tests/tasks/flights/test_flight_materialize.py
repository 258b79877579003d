"""`noria materialize` on real flights, and the commands that the guide shows, as they stand there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from part_of_year import write_part

from noria.cli import materialize as module
from noria.stores.online.rows import Packer, row_key
from noria.stores.online.store import open_online
from noria.tasks.flights.service import SERVICE

pytest.importorskip("feast", reason="feast is not installed: pip install 'noria[features]'")
ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "guides" / "features.md"
SERVING = ROOT / "docs" / "guides" / "serving.md"
DAYS = [(1, day) for day in range(8, 15)]
pytestmark = pytest.mark.xdist_group("online")


@pytest.fixture(scope="module")
def source(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_part(data, tmp_path_factory.mktemp("part") / "source", DAYS)


@pytest.fixture
def run(source: Path, tmp_path: Path):
    """Runs a command as a person types it, in an empty home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NORIA_")}
    environment = {**kept, "NORIA_HOME": str(tmp_path / "home"), "NORIA_SOURCE_FLIGHTS": str(source)}

    def run(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        program = {"noria": [str(Path(sys.executable).with_name("noria"))], "python": [sys.executable]}[words[0]]
        return subprocess.run(
            [*program, *words[1:]], cwd=ROOT, env={**environment, **settings}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    return run


def guides_commands() -> list[list[str]]:
    section = re.search(r"^## Online\n(.*?)(?=^## |\Z)", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert section is not None
    blocks = re.findall(r"```\n(.*?)```", section.group(1), re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_commands_of_the_guide_run_as_they_stand_there(run, tmp_path: Path) -> None:
    commands = guides_commands()
    assert {words[0] for words in commands} == {"noria", "python"}
    for words in commands:
        done = run(*words)
        assert done.returncode == 0, (words, done.stderr)
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "home" / "features" / "flights_v1").iterdir()) == sorted(
        f"{view.name}.parquet" for view in SERVICE.views
    )


def test_the_guides_store_of_its_own_is_as_of_the_guides_moment(run, tmp_path: Path) -> None:
    (line,) = re.findall(r"^NORIA_ONLINE=april.db (noria materialize .*)$", SERVING.read_text(), re.MULTILINE)
    place = str(tmp_path / "april.db")
    done = run(*shlex.split(line), NORIA_ONLINE=place)
    assert done.returncode == 0, done.stderr
    assert "flights_v1 until 2013-04-01 09:15:00 UTC" in done.stdout
    store = open_online(place)
    assert store.marks() == dict.fromkeys((view.name for view in SERVICE.views), 1_364_807_700_000_000)
    store.close()


def test_a_store_that_is_ahead_of_the_moment_says_that_it_stays_so(run) -> None:
    first = json.loads(run("noria", "materialize", "--task", "flights", "--as-of", "2013-01-14", "--json").stdout)
    assert (first["held_until"], first["seconds"] > first["report"]["seconds"]) == (None, True)
    asked = ("noria", "materialize", "--task", "flights", "--as-of", "2013-01-12T09:15")
    told = run(*asked).stdout
    assert "flights_v1 rows known at 2013-01-12 09:15:00 UTC" in told
    assert "The store holds newer rows, until 2013-01-14 00:00:00 UTC, and keeps them" in told
    assert "for a store as of 2013-01-12 09:15:00 UTC name another one: NORIA_ONLINE=" in told
    assert json.loads(run(*asked, "--json").stdout)["held_until"] == "2013-01-14T00:00:00Z"


def test_what_was_known_at_the_moment_is_online_and_a_second_run_changes_nothing(run, tmp_path: Path) -> None:
    asked = ("noria", "materialize", "--task", "flights", "--as-of", "2013-01-12", "--json")
    first, second = (json.loads(run(*asked).stdout)["report"] for _ in range(2))
    assert first["until"] == "2013-01-12T00:00:00Z"
    assert set(first["views"]) == {view.name for view in SERVICE.views}
    for name, view in first["views"].items():
        assert view["seen"] == view["written"] > 0, name
    assert all(view["written"] == 0 for view in second["views"].values())
    store = open_online(str(tmp_path / "home" / "features" / "online.db"))
    (weather,) = (view for view in SERVICE.views if view.name == "origin_weather")
    (data,) = store.read([row_key("origin_weather", ("JFK",))])
    assert Packer(weather).unpack(data).event <= 1_357_948_800_000_000  # 12 January 2013
    assert set(store.marks().values()) == {1_357_948_800_000_000}
    store.close()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--task", "flights", "--as-of", "someday"), "--as-of"),
        (("--task", "flights", "--late-hours", "-1"), "--late-hours is -1: expected 0 or more"),
        (("--task", "flights", "--late-hours", "nan"), "--late-hours is nan: expected 0 or more"),
        (("--task", "flights", "--late-hours", "1e300"), "or --whole"),
        (("--task", "flights", "--as-of", "2999-01-01"), "--as-of is 2999-01-01, which is still to come"),
    ],
)
def test_what_cannot_be_done_is_said(run, words: tuple[str, ...], told: str) -> None:
    done = run("noria", "materialize", *words)
    assert done.returncode == 2
    assert told in done.stderr


def test_a_store_that_is_not_there_is_said_and_no_table_is_laid_out(run, tmp_path: Path) -> None:
    done = run("noria", "materialize", "--task", "flights", NORIA_ONLINE="redis://127.0.0.1:1/0")
    assert done.returncode == 1
    assert "redis://127.0.0.1:1/0 does not answer" in done.stderr
    assert not (tmp_path / "home" / "features" / "flights_v1").exists()


def test_tables_that_another_run_lays_out_meanwhile_are_not_read(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later mark over tables of an earlier moment would leave out what came between."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NORIA_HOME", str(tmp_path))
    monkeypatch.setenv("NORIA_SOURCE_FLIGHTS", str(source))
    place, work = tmp_path / "features" / SERVICE.name, module._materialise
    place.mkdir(parents=True)

    def meanwhile(*asked):
        for view in SERVICE.views:
            (place / f"{view.name}.parquet").write_bytes(b"of another run")
        return work(*asked)

    monkeypatch.setattr(module, "_materialise", meanwhile)
    module.materialize("flights", as_of="2013-01-12", late_hours=24.0, whole=False, as_json=True)
    store = open_online(str(tmp_path / "features" / "online.db"))
    assert set(store.marks()) == {view.name for view in SERVICE.views}
    store.close()


def test_a_source_without_any_value_by_then_is_said(run) -> None:
    done = run("noria", "materialize", "--task", "flights", "--as-of", "1990-01-01")
    assert done.returncode == 1
    assert "hold no row: expected some by then" in done.stderr
