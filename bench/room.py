"""Room: run the programs one after the other, and keep what they found with the conditions they found it in."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

import noria
from bench.figure import Figure

# The name for --only, and the module; in the order of the page. The quick ones first, so that a fault shows soon.
PROGRAMS = {
    "command": "bench.command",
    "steps": "bench.steps",
    "features": "bench.features",
    "online": "bench.online",
    "main-job": "bench.main_job",
    "training": "bench.learning",
    "flights": "bench.flights",
    "serving": "bench.serving",
    "serving-peers": "bench.serving.others",
    "rolling": "bench.rolling.figure",
}


@dataclass(frozen=True, kw_only=True)
class Conditions:
    processor: str
    cores: int
    load_before: float  # of the last minute
    load_after: float
    system: str
    python: str
    noria: str


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one program found, and what it takes to find it again."""

    program: str
    command: str
    quick: bool
    conditions: Conditions
    figures: tuple[Figure, ...]


def processor() -> str:
    """The processor's name as the kernel has it; its architecture where the kernel has none."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def run_program(name: str, *, quick: bool) -> Measurement:
    """Run one program in a process of its own, so that none inherits memory, threads or warm caches from another."""
    command = [sys.executable, "-m", PROGRAMS[name], *(["--quick"] if quick else [])]
    before = os.getloadavg()[0]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if ended.returncode:
        raise SystemExit(
            f"bench: {name} ended with {ended.returncode}, so its figures are void; the reason stands above"
        )
    return Measurement(
        program=name,
        command=f"python -m bench --only {name}" + (" --quick" if quick else ""),
        quick=quick,
        conditions=Conditions(
            processor=processor(),
            cores=len(os.sched_getaffinity(0)),
            load_before=round(before, 2),
            load_after=round(os.getloadavg()[0], 2),
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            noria=noria.__version__,
        ),
        figures=msgspec.json.decode(ended.stdout, type=tuple[Figure, ...]),
    )


def read_results(path: Path) -> list[Measurement]:
    """The measurements that were kept before; none where there is no file."""
    return msgspec.json.decode(path.read_bytes(), type=list[Measurement]) if path.exists() else []


def merge(kept: Sequence[Measurement], new: Measurement) -> list[Measurement]:
    """The kept measurements with this one in its place, in the order of the programs."""
    by_program = {each.program: each for each in kept if each.program in PROGRAMS and each.quick == new.quick}
    by_program[new.program] = new
    return [by_program[name] for name in PROGRAMS if name in by_program]


def write_results(path: Path, measurements: Sequence[Measurement]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(measurements)) + b"\n")
