"""Opening: the models, tools and cores of one run, and the peers that can be measured here."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.serving.load import make_tools
from bench.serving.models import make_models
from bench.serving.peers import Peer
from bench.serving.plan import Plan
from bench.serving.rounds import Bench
from bench.serving.servers import choose_cores


def keep_present(plan: Plan, known: tuple[Peer, ...]) -> tuple[Plan, Mapping[str, str]]:
    """The plan with those peers that can be measured here, and why each of the others is not."""
    missing = {
        peer.title: "not measured: not asked for, and a quick run starts no peers of its own accord"
        for peer in known
        if peer not in plan.peers
    }
    for peer in plan.peers:
        if reason := peer.missing():
            missing[peer.title] = f"not measured: {reason}"
            print(f"serving: {peer.title} is {missing[peer.title]}", file=sys.stderr)
    return replace(plan, peers=tuple(peer for peer in plan.peers if peer.title not in missing)), missing


@contextmanager
def open_bench(plan: Plan) -> Iterator[Bench]:
    """Make the models, compile the tools and take the cores; all of it is gone with the block."""
    cores = choose_cores()
    with tempfile.TemporaryDirectory() as folder, make_tools(cores.server, cores.client) as tools:
        models = make_models(Path(folder), plan.models)
        os.sched_setaffinity(0, {cores.client})  # what this process does is a client's work
        yield Bench(plan=plan, tools=tools, cores=cores, models=models)
