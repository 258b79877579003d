"""P1: what a step on the laptop costs beyond its own work, by Noria's compiled file and by kfp.local itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.figure import Figure, divide, quantity, tell

GOAL = 1.2  # times kfp.local
HOW = (
    "The same chain of {steps} steps that do nothing, run in turn by kfp.local itself (a call of the pipeline, as its "
    "documents show: SubprocessRunner without a virtual environment) and by Noria (`pipelines.laptop.run` on the "
    "compiled file, its cache switched on and empty, every line listened to). Each round is a fresh process. The clock "
    "starts after the import of kfp and the compilation, and stops when the last step's answer has been read, "
    "which must be right. Divided by the number of steps."
)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """One pipeline, as an object and as the file it compiles to."""

    pipeline: Any
    compiled: Path


def run_with_kfp(chain: Chain, home: Path) -> Path:
    """As the documents of kfp.local show it."""
    from kfp import local

    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(home / "pipeline"))
    return Path(chain.pipeline(start=0).output.path)


def run_with_noria(chain: Chain, home: Path) -> Path:
    from noria.stores.opening import open_store
    from pipelines.laptop import run

    heard: list[str] = []
    store = open_store(str(home / "objects"))
    where = {"home": home, "cache": home / "cache", "store": store}
    (answer,) = run(chain.compiled, {"start": 0}, **where, listen=heard.append).values()
    return answer


RUNNERS: dict[str, Callable[[Chain, Path], Path]] = {"kfp": run_with_kfp, "noria": run_with_noria}


def time_one(name: str, steps: int, home: Path) -> None:
    """Run the chain in this process, and write the seconds a step into the home."""
    from kfp import compiler, components, local  # noqa: F401 - imported here, so that neither is timed with it

    from bench.noop import make_pipeline

    chain = Chain(pipeline=make_pipeline(steps), compiled=home / "no-op.yaml")
    compiler.Compiler().compile(chain.pipeline, str(chain.compiled))
    started = time.perf_counter()
    answer = RUNNERS[name](chain, home).read_text()
    seconds = time.perf_counter() - started
    if answer != str(steps - 1):
        raise SystemExit(f"the last of {steps} steps wrote {answer!r}, expected {steps - 1}: this round is void")
    (home / "seconds").write_text(repr(seconds / steps))


def start_one(name: str, steps: int) -> float:
    """Run the chain in a fresh process; returns milliseconds a step."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.steps", "--one", name, str(steps), folder]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(f"the chain did not get through {name}: {ended.stderr[-2000:]}{ended.stdout[-2000:]}")
        return float(Path(folder, "seconds").read_text()) * 1000


def measure(*, quick: bool) -> Figure:
    steps, rounds = (2, 1) if quick else (20, 5)
    if not quick:  # untimed, so that all bytecode is compiled
        for name in RUNNERS:
            start_one(name, 2)
    kfp, noria = [], []
    for _ in range(rounds):
        kfp.append(start_one("kfp", steps))
        noria.append(start_one("noria", steps))
    ratio = divide("Noria ÷ kfp.local", noria, kfp)
    return Figure(
        id="P1",
        title="Overhead of a step on the laptop",
        goal="no more than 1.2 × kfp.local",
        met=None if quick else ratio.median <= GOAL,
        how=HOW.format(steps=steps) + ("" if quick else " One untimed start of each before."),
        rounds=rounds,
        ratios=(ratio,),
        quantities=(quantity("kfp.local", "ms a step", kfp), quantity("Noria", "ms a step", noria)),
        versions={"kfp": version("kfp")},
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        time_one(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        tell([measure(quick="--quick" in sys.argv)])
