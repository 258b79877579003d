"""S1 against the other model servers, each asked in its own customary way: nested lists in JSON."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace

from bench.figure import Figure, divide, tell
from bench.serving.asking import WrongAnswerError
from bench.serving.figures import Story, tell_ceiling
from bench.serving.load import measure_peak
from bench.serving.notes import Key, Notes, run_rounds
from bench.serving.opening import keep_present, open_bench
from bench.serving.peers import OTHERS
from bench.serving.plan import Plan, read_plan
from bench.serving.rounds import Bench, measure_nothing, measure_rates
from bench.serving.servers import serving

GOAL = 3.0  # times the best of them


def measure(plan: Plan, missing: dict[str, str]) -> Figure:
    notes = Notes()
    with open_bench(replace(plan, models=("fashion", "nothing"))) as opened:
        bench = leave_out_failing(opened, missing)
        run_rounds(notes, "the others, doing nothing", plan.rounds, functools.partial(measure_nothing, bench))
        if not run_rounds(notes, "the other servers", plan.rounds, functools.partial(measure_rates, bench, rates={})):
            raise SystemExit("serving: no round stands; the reasons are above, --peers leaves a server out")
    versions = {peer.title: peer.version() for peer in bench.plan.peers}
    return tell_others(Story(plan=bench.plan, notes=notes, rates={}, versions=versions, missing=missing))


def leave_out_failing(bench: Bench, missing: dict[str, str]) -> Bench:
    """Try every server for a moment: one that fails now would void the rounds of all."""
    standing = []
    for peer in bench.plan.peers:
        print(f"serving: {peer.title}", file=sys.stderr, flush=True)
        try:
            with serving(peer, bench.models["fashion"], bench.cores) as server:
                question = server.question(next(iter(peer.paths)), 1)
                measure_peak(bench.tools, server, question, connections=max(bench.plan.connections), seconds=1)
        except WrongAnswerError as error:
            missing[peer.title] = f"left out: {error}"
            print(f"serving: {peer.title} is {missing[peer.title]}", file=sys.stderr)
        else:
            standing.append(peer)
    return replace(bench, plan=replace(bench.plan, peers=tuple(standing)))


def tell_others(story: Story) -> Figure:
    ours = story.notes.of(Key(what="rate", server="noria", protocol="V2 JSON"))
    theirs = [
        story.notes.of(Key(what="rate", server=peer.name, protocol=next(iter(peer.paths)))) for peer in story.plan.peers
    ]
    best = [max(values) for values in zip(*theirs, strict=True)]
    ratios = [divide("Noria, V2 JSON ÷ the best of them, 16 connections", ours, best)] if best else []
    for peer, values in zip(story.plan.peers, theirs, strict=True):
        ratios.append(divide(f"Noria, V2 JSON ÷ {peer.title}, 16 connections", ours, values))
    fashion, nothing = story.points("rate", model="fashion"), story.points("rate", model="nothing")
    cpu = story.points("cpu", model="fashion", connections=16)
    return story.figure(
        id="S1d",
        title="Predictor against other servers",
        goal=f"at least {GOAL:.0f} × the best of LitServe, BentoML, MLServer and Ray Serve",
        met=bool(ratios) and ratios[0].median >= GOAL,
        judged=bool(story.plan.peers),
        how=f"wrk, closed loop, {story.plan.seconds} s a point, one picture a request, at the connections that stand "
        "behind the protocol. MLServer is asked in V2 JSON, the others in nested lists, as their documents "
        "do it. The model that does nothing is asked on 16 connections.",
        ratios=tuple(ratios),
        quantities=(
            *story.shown("rate", "requests/s", fashion, "{server}, {protocol}, {connections}"),
            *story.shown("rate", "requests/s", nothing, "{server}, {protocol}, nothing"),
            *story.shown("cpu", "µs of processor time", cpu, "{server}, {protocol}"),
        ),
        facts={"client's own ceiling": tell_ceiling(story)},
    )


if __name__ == "__main__":
    wanted, absent = keep_present(read_plan(sys.argv[1:], OTHERS), OTHERS)
    tell([measure(wanted, dict(absent))])
