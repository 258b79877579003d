"""Kills: a writer that is killed at any moment leaves the old state or the new one, never something between."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from known_views import key, packed, pieces

from noria.stores.online.store import OnlineStore

pytestmark = pytest.mark.xdist_group("online")
ROWS = 3000
STEP = 250
WRITER = """
import sys
from known_views import key, packed
from noria.stores.online.store import open_online

store = open_online(sys.argv[1])

def rows():
    for number in range(int(sys.argv[2])):
        if number % int(sys.argv[3]) == 0:
            print(number, flush=True)
        yield key(number), packed(2, 2)
    print("all", flush=True)

store.write(rows(), {"stock": 2})
print("written", flush=True)
"""
KEYS = [key(number) for number in range(ROWS)]


def start_writer(address: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, address, str(ROWS), str(STEP)]
    here = str(Path(__file__).parent)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": here})


def state(store: OnlineStore) -> set[object]:
    """What all rows are; one state has one value."""
    return {pieces(each) for each in store.read(KEYS)}


@pytest.mark.parametrize("lines", [0, 1, 2, 7, 12, 13, 14])
@pytest.mark.parametrize("later", [0.0, 0.004])
def test_a_killed_writer_leaves_one_state(online: OnlineStore, online_address: str, lines: int, later: float) -> None:
    online.write(((each, packed(1, 1)) for each in KEYS), {"stock": 1})
    writer = start_writer(online_address)
    assert writer.stdout is not None
    told = [writer.stdout.readline().strip() for _ in range(lines)]
    until = time.monotonic() + later
    while time.monotonic() < until:
        assert len(state(online)) == 1
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    _wait_until_at_rest(online)
    (found,) = state(online)
    assert online.marks() == {"stock": found}
    if "written" in told:
        assert found == 2
    if "all" not in told and not later:
        assert found == 1
    # Whatever was left, a next writer finishes.
    again = start_writer(online_address)
    again.communicate()
    assert again.returncode == 0
    assert state(online) == {2}


def _wait_until_at_rest(store: OnlineStore) -> None:
    """A server may still be at what it got before the kill; a write of our own comes after it."""
    store.write([])
