"""Overload and start: what a server does with five times what it can, and how long it takes to its first answer."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.serving.asking import WrongAnswerError, ask_until_right
from bench.serving.models import Model
from bench.serving.notes import Key, Notes, Point
from bench.serving.peers import KSERVE, KSERVE_TORCH, Peer
from bench.serving.questions import Question
from bench.serving.rounds import Bench, note_peak, warm
from bench.serving.servers import Server, alive, serving

TIMES = 5
RECOVERY_SECONDS = 60.0  # what a server has, once the load is gone, to answer rightly again
CONNECTIONS = 1000  # a client that does not wait opens one more; this many are as good as any number


def measure_overload(bench: Bench, notes: Notes) -> None:
    """S3: each server at five times its own peak, which is measured right before."""
    for name in (name for name in bench.plan.models if name != "nothing"):
        for peer in bench.plan.servers:
            overload(bench, notes, peer, bench.models[name])


def overload(bench: Bench, notes: Notes, peer: Peer, model: Model) -> None:
    """The open loop; then whether the server comes back, which is a finding about it and voids nothing."""
    with serving(peer, model, bench.cores) as server:
        warm(bench, server)
        peaks = Notes()
        for connections in bench.plan.connections:
            note_peak(bench, peaks, server, Point(connections=connections), bench.plan.seconds)
        peak = max(rate for key in peaks.keys("rate") for rate in peaks.of(key))
        question, before = server.question("V2 binary", 1), server.peak_memory_mib()
        seconds = float(bench.plan.overload_seconds)
        load = bench.tools.load(server.port, question, rate=TIMES * peak, seconds=seconds, connections=CONNECTIONS)
        growth = server.peak_memory_mib() - before
        silent = wait_for_recovery(server, question)
    lost = load.faults + load.strange + load.unanswered + (load.due - load.asked)
    found = {
        "peak": peak,
        "due": load.due / seconds,
        "answered": load.in_time / seconds / peak,
        "answered p50": load.answered.p50 / 1000,
        "answered p99": load.answered.p99 / 1000,
        "refused": load.refused.count / load.due,
        "lost": lost / load.due,
        "growth": growth,
        "late": load.late.p99 / 1000,
        "silent": silent,
    }
    if load.refused.count:
        found["refused p99"] = load.refused.p99 / 1000
        found["refused once sent p99"] = load.refused_once_sent.p99 / 1000
        found["without retry-after"] = load.without_retry_after
    for what, value in found.items():
        notes.add(Key(what=f"overload {what}", server=peer.name, model=model.name), value)


def wait_for_recovery(server: Server, question: Question) -> float:
    """Seconds until the first right answer after the load; RECOVERY_SECONDS stands for none in all that time."""
    started = time.monotonic()
    try:
        ask_until_right(server.port, question, lambda: alive(server.process.pid), RECOVERY_SECONDS)
    except WrongAnswerError as error:
        print(f"serving: {server.peer.title} after its overload: {error}", file=sys.stderr, flush=True)
        return RECOVERY_SECONDS
    return min(time.monotonic() - started, RECOVERY_SECONDS)


def measure_starts(bench: Bench, notes: Notes) -> None:
    """S4: from the exec to the first right answer, in turn; and a Python that loads the model and asks it once."""
    model = bench.models["fashion"]
    command = [
        "taskset",
        "-c",
        str(bench.cores.server),
        sys.executable,
        "-m",
        "bench.serving.bare",
        str(model.file),
        "1",
    ]
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    notes.add(Key(what="start", server="bare"), time.perf_counter() - started)
    torch = (KSERVE_TORCH,) if KSERVE in bench.plan.peers else ()
    for peer in (*torch, *bench.plan.servers):
        with serving(peer, model, bench.cores) as server:
            notes.add(Key(what="start", server=peer.name), server.start_seconds)
