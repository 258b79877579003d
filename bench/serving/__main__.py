"""S1 to S5: the predictor against KServe's Python server, which speaks the same protocol."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping

from bench.figure import Figure, tell
from bench.serving.asking import WrongAnswerError
from bench.serving.figures import Story, tell_cpu, tell_latency, tell_rate, tell_table
from bench.serving.limits import tell_added, tell_overload, tell_start
from bench.serving.notes import Notes, Point, run_rounds
from bench.serving.opening import keep_present, open_bench
from bench.serving.overload import measure_overload, measure_starts
from bench.serving.peers import KSERVE
from bench.serving.plan import Plan, read_plan
from bench.serving.rounds import Bench, measure_nothing, measure_rates, measure_table, note_peak
from bench.serving.servers import serving

Turn = tuple[str, int, Callable[[Bench, Notes], None], tuple[Callable[[Story], Figure], ...]]


def slower_peak(bench: Bench) -> float:
    """The lowest peak of the servers, for a moment's load: an untimed turn of each, too."""
    notes = Notes()
    for peer in bench.plan.servers:
        with serving(peer, bench.models["fashion"], bench.cores) as server:
            note_peak(bench, notes, server, Point(), 1)
            note_peak(bench, notes, server, Point(), bench.plan.seconds, "warm ")
    return min(rate for key in notes.keys("warm rate") for rate in notes.of(key))


def measure(plan: Plan, missing: Mapping[str, str]) -> list[Figure]:
    """All figures whose rounds stand."""
    notes = Notes()
    with open_bench(plan) as bench:
        print("serving: the slower server's peak", file=sys.stderr, flush=True)
        peak = slower_peak(bench)
        rates = {share: share * peak for share in plan.shares}
        versions = {peer.title: peer.version() for peer in plan.peers}
        story = Story(plan=plan, notes=notes, rates=rates, versions=versions, missing=missing)
        found: list[Figure] = []
        for name, rounds, one, tellers in turns(plan, rates):
            if run_rounds(notes, name, rounds, functools.partial(one, bench)):
                found += [teller(story) for teller in tellers]
            else:
                print(f"serving: no round of {name} stands, so its figures are not told", file=sys.stderr)
    return sorted(found, key=lambda figure: figure.id)


def turns(plan: Plan, rates: Mapping[float, float]) -> tuple[Turn, ...]:
    """What is measured, how often, and the figures that are told from it."""
    return (
        ("the model that does nothing", plan.rounds, measure_nothing, ()),
        (
            "rates and latency",
            plan.rounds,
            functools.partial(measure_rates, rates=rates),
            (tell_rate, tell_latency, tell_added, tell_cpu),
        ),
        ("start", plan.starts, measure_starts, (tell_start,)),
        ("overload", 1, measure_overload, (tell_overload,)),
        ("the table", plan.table_rounds, measure_table, (tell_table,)),
    )


if __name__ == "__main__":
    try:
        tell(measure(*keep_present(read_plan(sys.argv[1:], (KSERVE,)), (KSERVE,))))
    except WrongAnswerError as error:
        raise SystemExit(f"serving: {error}") from error
