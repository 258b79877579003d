"""A run of the outsider's task that is disturbed at a moment of its own choosing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from noria_command import Noria

MOMENTS = Path(__file__).with_name("moments")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What befalls which step, and when; the words are those of moments/sitecustomize.py."""

    step: str
    moment: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} at {self.step} {self.moment}"


def disturb(noria: Noria, fault: Fault, mark: Path) -> Noria:
    """The command, whose next run meets the fault; `mark` is there once it did."""
    return noria.with_settings(
        PYTHONPATH=os.pathsep.join((str(noria.site), str(MOMENTS))),
        FAULT_STEP=fault.step, FAULT_MOMENT=fault.moment, FAULT_KIND=fault.kind, FAULT_MARK=str(mark),
    )  # fmt: skip


def processes_of(mark: Path) -> Iterator[int]:
    """The processes that still live of the run that was disturbed with this mark."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"FAULT_MARK={mark}\0".encode() in (folder / "environ").read_bytes():
                yield int(folder.name)
        except OSError:
            continue


def wait_until(true: object, what: str, seconds: float = 60) -> None:
    """Wait for a callable to become true."""
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
