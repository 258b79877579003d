"""A run whose home is too small or read-only ends with a clear error, and goes on where there is room again."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.disturbed import Fault, disturb, wait_until
from noria_command import RUN, Noria

from noria.steps.workspace import Settings, Workspace


def mount(*options: str) -> None:
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 64 KiB large at first."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def check_nothing_is_half_there(home: Path) -> None:
    """Whatever lies under its final name is whole."""
    workspace = Workspace(settings=Settings.from_environment({"NORIA_HOME": str(home)}))
    for key in workspace.store.list("datasets/"):
        workspace.fetch_dataset(workspace.store.uri(key.rpartition("/")[0]))
    for key in workspace.store.list("bundles/"):
        workspace.fetch_bundle(key.split("/")[1])
    assert workspace.ledger("wine").verify() == ()
    assert not list((home / "scratch").glob("*"))
    assert not list((home / "objects" / ".staging").glob("*"))


def told_of(err: str) -> str:
    """The line by which the command says what went wrong; where the log lies stands below it."""
    return next(line for line in err.splitlines() if line.startswith("noria: "))


def check_clear_end(noria: Noria, code: int, out: str, err: str) -> None:
    assert (code, json.loads(out)["exit_code"]) == (1, 1), err
    assert "No space left" in told_of(err), err
    assert "free" in told_of(err), err
    assert "Traceback" not in err
    check_nothing_is_half_there(noria.home)


def test_a_run_on_a_disk_that_fills_up_ends_clearly_and_goes_on_when_there_is_room(
    wine_site: Path, disk: Path, tmp_path: Path
) -> None:
    noria = Noria(home=disk / "home", site=wine_site)
    for size in ("64k", "400k"):  # too small to write the data; to publish them
        mount("-o", f"remount,size={size}", str(disk))
        done = noria.run()
        check_clear_end(noria, done.code, done.out, done.err)
    mount("-o", "remount,size=8m", str(disk))
    for step in ("validate", "train", "judge", "deploy"):
        mark, filler = tmp_path / f"mark-{step}", disk / "filler"
        held = disturb(noria, Fault(step=step, moment="line:noria-started", kind="hold"), mark)
        process = held.start(*RUN)
        try:
            wait_until(mark.exists, f"the run reaches {step}")
            filler.write_bytes(bytes(shutil.disk_usage(disk).free))
        finally:
            mark.unlink(missing_ok=True)
            out, err = process.communicate(timeout=120)
        check_clear_end(noria, process.returncode, out, err)
        filler.unlink()
    done = noria.run()
    assert (done.code, done.told["outcome"]) == (0, "promoted"), done.err
    assert [entry["kind"] for entry in noria.ledger()] == ["evaluated", "promoted"]
    check_nothing_is_half_there(noria.home)


def test_a_run_in_a_read_only_home_says_so(wine_site: Path, disk: Path) -> None:
    noria = Noria(home=disk / "home", site=wine_site)
    noria.home.mkdir()
    mount("-o", "remount,ro", str(disk))
    done = noria.run()
    assert done.code == 1
    assert "Read-only file system" in done.err
    assert str(noria.home) in done.err
    assert "Traceback" not in done.err
    status = noria("status", "--task", "wine", "--json")
    assert (status.code, status.told["champion"]) == (0, None), status.err
