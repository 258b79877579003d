"""Overload and start: what a server does with five times what it can, and how long it takes to its first answer."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.serving.asking import Connection
from bench.serving.models import Model
from bench.serving.notes import Key, Notes
from bench.serving.peers import KSERVE, KSERVE_TORCH, Peer
from bench.serving.rounds import Bench, Point, note_peak, warm
from bench.serving.servers import serving

TIMES = 5
CONNECTIONS = 1000  # a client that does not wait opens one more; this many are as good as any number


def measure_overload(bench: Bench, notes: Notes) -> None:
    """S3: each server at five times its own peak, which is measured right before."""
    for name in (name for name in bench.plan.models if name != "nothing"):
        for peer in bench.plan.servers:
            overload(bench, notes, peer, bench.models[name])


def overload(bench: Bench, notes: Notes, peer: Peer, model: Model) -> None:
    """The open loop; wrong answers are no fault here, but the server has to answer rightly afterwards."""
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
        with Connection(server.port) as after:
            after.ask(question)
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
    }
    if load.refused.count:
        found["refused p99"] = load.refused.p99 / 1000
        found["refused once sent p99"] = load.refused_once_sent.p99 / 1000
        found["without retry-after"] = load.without_retry_after
    for what, value in found.items():
        notes.add(Key(what=f"overload {what}", server=peer.name, model=model.name), value)


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
