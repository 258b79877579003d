"""Submitting: a run of the pipeline from its start to its end, and what is told of one that does not come to it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster_place import ROOT, Spaces, environment, run
from cluster_telling import Stuck

NORIA = Path(sys.executable).with_name("noria")
# Twelve of the seventy days, which pass the gates after three epochs.
WINDOW = {
    "start": "2017-09-01",
    "end": "2017-09-13",
    "validation_days": 2,
    "holdout_days": 3,
    "epochs": 3,
    "threads": 1,
}
RUN_SECONDS = 5400  # two dozen pods, one after the other
LOOK_SECONDS = 15.0
LINES = 80


def submit(home: Path, kfp: str, spaces: Spaces) -> dict[str, Any]:
    """Run the pipeline to its end; an assertion with the run's page, and what its steps wrote, where it fails."""
    given = [word for name, value in WINDOW.items() for word in ("--param", f"{name}={value}")]
    words = [str(NORIA), "submit", "--task", "fashion", *given, "--wait", "--json"]
    settings = environment(home, NORIA_KFP=kfp)
    process = subprocess.Popen(words, cwd=ROOT, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, error = watch(process, Stuck(spaces=spaces))
    except BaseException:
        process.kill()
        process.communicate()
        print(f"the newest run: {newest_run(home, kfp)}")  # noqa: T201  # pytest shows it beside the assertion
        raise
    told: dict[str, Any] = json.loads(out) if out.startswith("{") else {}
    assert process.returncode == 0, (
        f"noria submit ended with {process.returncode}; the run's page: {told.get('page', 'not known')}\n{error}{out}\n"
        f"{wrote(home, kfp, told.get('run', ''))}"
    )
    return told


def watch(process: subprocess.Popen[str], stuck: Stuck) -> tuple[str, str]:
    """What it wrote; an assertion where a pod that the run waits for never comes, or it takes too long."""
    started = time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=LOOK_SECONDS)
        stuck.look()
        assert time.monotonic() - started < RUN_SECONDS, f"the run takes longer than {RUN_SECONDS} s"


def newest_run(home: Path, kfp: str) -> str:
    """Its id, state and page, as far as they can be had."""
    with suppress(AssertionError, subprocess.TimeoutExpired, ValueError, IndexError, KeyError):
        found = json.loads(run(NORIA, "runs", "--count", "1", "--json", home=home, seconds=120, NORIA_KFP=kfp))[0]
        return f"{found['name']} {found['state']}, {found['page']}\n{wrote(home, kfp, found['id'])}"
    return "not known"


def end_former_runs(home: Path, kfp: str) -> None:
    """End what a time before has left under way: a run whose pods never came would hold its place for ever."""
    words = (NORIA, "runs", "--task", "fashion", "--json")
    for each in json.loads(run(*words, home=home, seconds=120, NORIA_KFP=kfp)):
        if each["state"] in ("PENDING", "RUNNING", "PAUSED"):
            with suppress(AssertionError):  # of one that has come to its end by now
                run(NORIA, "cancel", each["id"], home=home, seconds=120, NORIA_KFP=kfp)


def wrote(home: Path, kfp: str, run_id: str) -> str:
    """The last lines that the steps of a run wrote, as far as they can be had."""
    with suppress(AssertionError, subprocess.TimeoutExpired):
        lines = run(NORIA, "logs", run_id, home=home, seconds=120, NORIA_KFP=kfp).splitlines()
        return "\n".join(("what its steps wrote:", *lines[-LINES:]))
    return "what its steps wrote cannot be had"
