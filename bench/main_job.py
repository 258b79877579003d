"""M1: the main job on all the pictures, from nothing to a champion, and once more with nothing changed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from bench.figure import Figure, Quantity, quantity, tell

NORIA = Path(sys.executable).with_name("noria")
# A few days and two passes over them: enough to beat the rule, so that the whole way is gone.
QUICK = {
    "end": "2017-09-06", "validation_days": 1, "holdout_days": 1, "epochs": 5, "batch_size": 64, "threads": 1,
    "draws": 200, "limits.ece": 0.9, "limits.draws": 200, "limits.latency_p95_ms": 5000, "requests": 100,
}  # fmt: skip
UNCACHED = {"settle", "deploy"}  # they look at the ledger, which is in none of their inputs
HOW = (
    "`noria run --task fashion --json`, as a user types it, with a fresh NORIA_HOME, so that nothing is cached; then "
    "the same command again. Wall time from the start of the process to its end. Memory is the largest peak resident "
    "set of any process of the run, as the kernel counted it (`wait4`). Accuracy is the candidate's on the "
    "held-out rows, from the command's JSON. There is no peer, and it is run once."
)


@dataclass(frozen=True, kw_only=True)
class Ran:
    seconds: float
    cpu_seconds: float
    peak_mib: float
    told: dict[str, Any]
    steps: dict[str, float]  # seconds by step, 0 for one out of the cache


def run_noria(words: list[str], home: Path) -> Ran:
    """Run the job, and ask `noria status` what it noted of its steps; a run that was not promoted is an error.

    This process is a small one on purpose: a child's peak is counted from the process it was forked from.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["NORIA_HOME"] = str(home)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            [NORIA, "run", "--task", "fashion", "--json", *words], env=environment, stdout=output, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0), errors.seek(0)
        if process.returncode:
            raise SystemExit(f"noria run ended with {process.returncode}: {errors.read().decode()[-2000:]}")
        told = msgspec.json.decode(output.read())
    status_told = subprocess.run([NORIA, "status", "--json"], env=environment, capture_output=True, check=True)
    return Ran(
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
        told=told,
        steps=msgspec.json.decode(status_told.stdout)["runs"][0]["steps"],
    )


def measure(*, quick: bool) -> Figure:
    words = [word for key, value in QUICK.items() for word in ("--param", f"{key}={value}")] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        first, second = run_noria(words, Path(folder)), run_noria(words, Path(folder))
    repeated = {name for name, seconds in second.steps.items() if seconds}
    if second.told["outcome"] != "unchanged" or repeated != UNCACHED or second.steps.keys() != first.steps.keys():
        raise SystemExit(
            f"the second run was {second.told['outcome']!r} and ran {sorted(repeated)} again: expected 'unchanged', "
            f"and {sorted(UNCACHED)} alone"
        )
    kept = f"{len(second.steps) - len(repeated)} of {len(second.steps)} steps from the cache"
    return Figure(
        id="M1",
        title="The main job, end to end",
        how=HOW + (f" Cut short by {' '.join(words)}." if quick else ""),
        rounds=1,
        quantities=(*describe_first(first), *describe_second(second)),
        drawn="s in the step",
        facts={
            "first run": first.told["outcome"],
            "second run": f"{second.told['outcome']}, {kept}",
        },
        versions={name: version(name) for name in ("kfp", "torch", "onnxruntime")},
    )


def describe_first(ran: Ran) -> list[Quantity]:
    accuracy = ran.told["scores"]["candidate"]["accuracy"]["value"]
    return [
        quantity("first run, wall time", "s", [ran.seconds]),
        quantity("first run, processor time", "s", [ran.cpu_seconds]),
        quantity("first run, peak memory of a process", "MiB", [ran.peak_mib]),
        quantity("first run, test accuracy", "share", [accuracy]),
        *(quantity(name, "s in the step", [seconds]) for name, seconds in ran.steps.items()),
    ]


def describe_second(ran: Ran) -> list[Quantity]:
    return [quantity("second run, wall time", "s", [ran.seconds])]


if __name__ == "__main__":
    tell([measure(quick="--quick" in sys.argv)])
