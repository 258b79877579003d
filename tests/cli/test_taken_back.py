"""Taken back: what a person decides while a run is under way ends that run as a gate's refusal does."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from noria_command import RUN, TIMEOUT, Done, Noria

pytestmark = pytest.mark.xdist_group("outsider")

# Little training, and wide limits: both are promoted whatever their figures are.
QUICK = ("--param", "epochs=4", "--param", "limits.ece=1.0", "--param", "load_requests=100")
CHALLENGER = (*QUICK, "--param", "seed=2", "--param", "limits.margin=1.0", "--param", "limits.slice_margin=1.0")


def run_with_rollback(wine: Noria, reason: str, reached: Callable[[subprocess.Popen[str]], object]) -> Done:
    """Run the challenger's plan once more; as soon as it has `reached` a moment, it waits while a person rolls back."""
    process = wine.start(*RUN, *CHALLENGER)
    try:
        reached(process)
        process.send_signal(signal.SIGSTOP)
        rollback = wine("rollback", "--task", "wine", "--reason", reason)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert rollback.code == 0, rollback.err
    return Done(code=process.returncode, out=out, err=err)


def wait_for_line(text: str) -> Callable[[subprocess.Popen[str]], object]:
    return lambda process: next(line for line in process.stderr or () if text in line)


def wait_for_log(home: Path) -> Callable[[subprocess.Popen[str]], object]:
    """Wait until a run begins a log: from there on it has settled what it does."""
    before = set(home.glob("logs/*"))

    def reached(process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while set(home.glob("logs/*")) == before:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)

    return reached


def check_refusal(wine: Noria, done: Done, bundle: str, reason: str) -> None:
    assert done.code == 3, done.err
    told = done.told
    assert (told["outcome"], told["bundle"], told["verdict"]["bundle"]) == ("refused", bundle, bundle)
    assert f"bundle {bundle[:12]} was champion, and a person took it back on " in told["reason"]
    assert f"({reason}): what a person decided no run undoes" in told["reason"]
    page = Path(told["report"]).read_text()
    assert "and was refused all the same: bundle " in page
    assert f"({reason})" in page
    assert "Promoted" not in page
    (last, *_) = wine("status", "--task", "wine", "--json").told["runs"]
    assert (last["outcome"], last["reason"]) == ("refused", told["reason"])


def test_a_rollback_while_the_same_bundle_is_on_its_way_up_again_refuses_it(wine: Noria) -> None:
    assert wine.run(*QUICK).code == 0
    champion = wine.run(*CHALLENGER).told["bundle"]
    assert wine.home is not None
    # Every step comes from the cache, and deploy's word is older than the person's.
    cached = run_with_rollback(wine, "odd vintage", wait_for_log(wine.home))
    check_refusal(wine, cached, champion, "odd vintage")
    again = wine("rollback", "--task", "wine", "--to", champion, "--reason", "it was the glass")
    assert again.code == 0, again.err
    # Every step runs, and deploy itself finds the person's word.
    shutil.rmtree(wine.home / "pipeline")
    fresh = run_with_rollback(wine, "corked", wait_for_line("train: started"))
    check_refusal(wine, fresh, champion, "corked")
    assert "deploy: refused (bundle " in fresh.err
