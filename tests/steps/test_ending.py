"""Ending: a step's process ends with its reader, and in order while there is something to put back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import os, signal, sys, threading, time
from noria.steps.ending import end_with_reader, ended_in_order
end_with_reader()
def say(word):
    sys.stdout.write(word + "\\n")
    sys.stdout.flush()
def wait():
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        time.sleep(0.01)
def wait_for(found):
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.001)
def put_back():
    say("nobody reads this")
    sys.stderr.write("nor this\\n")
    open(sys.argv[1], "a").write("put back\\n")
"""
HELD = """
with ended_in_order() as order:
    try:
        say("changed")
        wait()
    finally:
        put_back()
"""
PUTTING_BACK = """
with ended_in_order() as order:
    try:
        raise ValueError("it does not come up")
    except ValueError:
        with order.held_off_for():
            say("changed")
            wait_for(lambda: order.code)
            put_back()
        open(sys.argv[1], "a").write("went on\\n")
"""
TWICE = """
with ended_in_order() as order:
    try:
        say("changed")
        wait()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        put_back()
"""


def start(body: str, file: Path) -> subprocess.Popen[str]:
    """Start it, and wait until it has said that it changed something."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + body, str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "changed\n"
    return process


def lose(process: subprocess.Popen[str]) -> int:
    """Read its output no more, as a launcher that is killed; returns its exit code."""
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    return process.wait(30)


def tell(process: subprocess.Popen[str]) -> int:
    process.terminate()
    process.communicate(timeout=30)
    return process.returncode


def test_one_that_nobody_reads_ends_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    process = start('say("changed")\ntry:\n    wait()\nfinally:\n    put_back()\n', file)
    assert lose(process) == 1
    assert not file.exists()


@pytest.mark.parametrize("way", [lose, tell])
@pytest.mark.parametrize("body", [HELD, PUTTING_BACK, TWICE], ids=["held", "putting back", "twice"])
def test_one_that_has_something_to_put_back_does_that_first(way: object, body: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    process = start(body, file)
    assert way(process) == 128 + 15  # type: ignore[operator]
    assert file.read_text() == "put back\n"


def test_afterwards_it_ends_at_once_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    process = start(
        'with ended_in_order():\n    pass\nsay("changed")\ntry:\n    wait()\nfinally:\n    put_back()\n', file
    )
    assert lose(process) == 1
    assert not file.exists()
