"""C1: how long the command takes to say what it can do, against Feast's command and a Python that does nothing."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.figure import Figure, divide, quantity, tell

GOAL_MS = 150.0
FEAST = Path(".bench/feast/bin/feast")  # made by `make bench-peers`
HOW = (
    "Wall time from the start of the process to its end, in turn, output into a pipe; the median of {starts} starts is "
    "a round's figure. One untimed round before, so that all bytecode is compiled and the files are in memory."
)


def find_commands(*, quick: bool) -> dict[str, list[str]]:
    """The commands by name; Feast is left out where its environment is missing, and of a quick run: it is slow."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "noria --help": [str(Path(sys.executable).with_name("noria")), "--help"],
    }
    if FEAST.exists() and not quick:
        commands["feast --help"] = [str(FEAST), "--help"]
    return commands


def time_start(name: str, command: Sequence[str]) -> float:
    """Start the command once; returns milliseconds. A help that does not help is an error."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    milliseconds = (time.perf_counter() - started) * 1000
    if ended.returncode or ("--help" in command and "Usage:" not in ended.stdout):
        raise SystemExit(f"{name} ended with {ended.returncode} and no help: {ended.stderr[-2000:]}")
    return milliseconds


def run_rounds(commands: Mapping[str, Sequence[str]], *, rounds: int, starts: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            taken[name].append(statistics.median(time_start(name, command) for _ in range(starts)))
    return taken


def feast_version() -> str:
    code = "from importlib.metadata import version; print(version('feast'))"
    found = subprocess.run([FEAST.with_name("python"), "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def measure(*, quick: bool) -> Figure:
    commands = find_commands(quick=quick)
    rounds, starts = (1, 1) if quick else (5, 3)
    run_rounds(commands, rounds=1, starts=1)
    taken = run_rounds(commands, rounds=rounds, starts=starts)
    noria = taken["noria --help"]
    ratios = [divide("noria --help ÷ python -c pass", noria, taken["python -c pass"])]
    facts, versions = {}, {}
    if feast := taken.get("feast --help"):
        ratios.insert(0, divide("feast --help ÷ noria --help", feast, noria))
        versions["feast"] = feast_version()
    else:
        why = "a quick run starts no peers" if quick else "its environment is missing; `make bench-peers` makes it"
        facts["feast --help"] = f"not measured: {why}"
        print(f"C1: feast --help {facts['feast --help']}", file=sys.stderr)
    return Figure(
        id="C1",
        title="Start of the command",
        goal=f"noria --help within {GOAL_MS:.0f} ms",
        met=None if quick else statistics.median(noria) <= GOAL_MS,
        how=HOW.format(starts=starts),
        rounds=rounds,
        ratios=tuple(ratios),
        quantities=tuple(quantity(name, "ms", values) for name, values in taken.items()),
        mark=GOAL_MS,
        facts=facts,
        versions=versions,
    )


if __name__ == "__main__":
    tell([measure(quick="--quick" in sys.argv)])
