"""Figures: S1 to S5, told from the notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.figure import Figure, Quantity, divide
from bench.serving.notes import Key, Notes
from bench.serving.plan import Plan
from bench.serving.questions import Protocol

RATE_GOALS: Mapping[Protocol, float] = {"V2 binary": 10.0, "V2 JSON": 6.0}
ADDED_GOAL_US, SHARE_GOAL, REFUSAL_GOAL_MS, START_GOAL_S, CPU_GOAL = 60.0, 0.9, 5.0, 0.5, 0.1
CEILING = 3.0  # times the rate that is reported
PLACE = (
    "Every server runs on one core and its client on another, with one thread for the computation, its documented "
    "settings for production, and the same ONNX file and session options as Noria's. The servers take turns; each turn "
    "is a fresh process with {warm} s of load before the first figure. While wrk loads a server, a witness asks it "
    "something else five times a second, and every answer of it is compared with ONNX Runtime's own; a failed or wrong "
    "answer voids the round."
)


@dataclass(frozen=True, kw_only=True)
class Story:
    """What all figures are told from."""

    plan: Plan
    notes: Notes
    rates: Mapping[float, float]  # of the open loop, by their share of the slower server's peak
    versions: Mapping[str, str]
    missing: Mapping[str, str]  # why a peer was not measured

    def figure(
        self, *, how: str, met: bool | None, rounds: int | None = None, judged: bool = True, **rest: Any
    ) -> Figure:
        """A figure with what all of them say; none of a quick run is judged."""
        facts = {**rest.pop("facts", {}), **self.missing}
        if self.notes.void:
            facts["void rounds"] = "; ".join(self.notes.void)
        return Figure(
            rounds=self.plan.rounds if rounds is None else rounds,
            how=f"{how} {PLACE.format(warm=self.plan.warm_seconds)}",
            met=met if judged and not self.plan.quick else None,
            facts=facts,
            versions=self.versions,
            **rest,
        )

    def shown(self, what: str, unit: str, keys: list[Key], name: str) -> list[Quantity]:
        titles = {peer.name: peer.title for peer in self.plan.servers}
        return [
            self.notes.quantity(name.format(**{**vars(key), "server": titles[key.server]}), unit, key.told(what))
            for key in keys
            if key.told(what) in self.notes
        ]

    def points(self, what: str, **fixed: Any) -> list[Key]:
        return [key for key in self.notes.keys(what) if all(getattr(key, at) == value for at, value in fixed.items())]

    def ratio(self, what: str, name: str, *, turned: bool = False, **point: Any) -> Quantity | None:
        """Noria's number divided by KServe's, or the other way round."""
        ours, theirs = (Key(what=what, server=server, **point) for server in ("noria", "kserve"))
        if ours not in self.notes or theirs not in self.notes:
            return None
        pair = self.notes.of(ours), self.notes.of(theirs)
        return divide(name, *(reversed(pair) if turned else pair))


def tell_rate(story: Story) -> Figure:
    ratios, met = [], True
    for protocol, goal in RATE_GOALS.items():
        for model, name in (("fashion", "fashion model"), ("nothing", "model that does nothing")):
            ratio = story.ratio("rate", f"Noria ÷ KServe, {protocol}, {name}", protocol=protocol, model=model)
            if ratio:
                ratios.append(ratio)
                met = met and (model != "fashion" or ratio.median >= goal)
    quantities = [
        *story.shown(
            "rate", "requests/s", story.points("rate", model="fashion"), "{server}, {protocol}, {connections}"
        ),
        *story.shown("rate", "requests/s", story.points("rate", model="nothing"), "{server}, {protocol}, nothing"),
    ]
    return story.figure(
        id="S1",
        title="Predictor, requests per second",
        goal=f"at least {RATE_GOALS['V2 binary']:.0f} × KServe on V2 binary and {RATE_GOALS['V2 JSON']:.0f} × on V2 "
        "JSON, 16 connections, one picture, fashion model",
        met=met,
        judged=bool(ratios),
        how=f"wrk, closed loop, {story.plan.seconds} s a point, at the connections that stand behind the protocol; one "
        "picture a request. The model that does nothing is asked on 16 connections.",
        ratios=tuple(ratios),
        quantities=tuple(quantities),
        facts={"client's own ceiling": tell_ceiling(story)},
    )


def tell_ceiling(story: Story) -> str:
    """Whether the client can be trusted with these rates."""
    parts = []
    for protocol in RATE_GOALS:
        ceiling = story.notes.quantity("", "", Key(what="ceiling", protocol=protocol)).median
        rates = [max(story.notes.of(key)) for key in story.notes.keys("rate") if key.protocol == protocol]
        times = ceiling / max(rates)
        enough = "" if times >= CEILING else f", which is less than {CEILING:.0f} times: these ratios are lower bounds"
        parts.append(f"{protocol} {ceiling:,.0f} requests/s, {times:.1f} times the highest rate{enough}")
    return "; ".join(parts)


def tell_latency(story: Story) -> Figure:
    ratios = []
    quantities: list[Quantity] = []
    for share, rate in story.rates.items():
        for name in ("p50", "p99"):
            what = f"{name} at {share:.0%}"
            if ratio := story.ratio(what, f"KServe ÷ Noria, {what} ({rate:.0f}/s)", turned=True, protocol="V2 binary"):
                ratios.append(ratio)
            quantities += story.shown(what, "µs", story.points(what), f"{{server}}, {what}")
    late = max(value for key in story.notes.keys("late") for value in story.notes.of(key))
    return story.figure(
        id="S1b",
        title="Predictor, latency under a steady load",
        met=None,
        how=f"Our own client, open loop, {story.plan.seconds} s a rate, V2 binary, one picture, fashion model, at "
        "shares of the slower server's peak; timed from the moment a request was due, whether or not it "
        "could be sent then.",
        ratios=tuple(ratios),
        quantities=tuple(quantities),
        facts={"client's own lateness": f"{late:.0f} µs (p99, the worst round)"},
    )


def tell_table(story: Story) -> Figure:
    ratios = []
    for ours in story.points("table rate", server="noria"):
        point = {name: value for name, value in vars(ours).items() if name not in ("what", "server")}
        name = f"Noria ÷ KServe, {ours.model}, {ours.protocol}, batch {ours.rows}, {ours.connections} connections"
        if ratio := story.ratio("table rate", name, **point):
            ratios.append(ratio)
    name = "{server}, {model}, {protocol}, {rows} × {connections}"
    return story.figure(
        id="S1c",
        title="Predictor, models, batches and connections",
        met=None,
        rounds=story.plan.table_rounds,
        how=f"wrk, closed loop, {story.plan.table_seconds} s a point; the two numbers are the pictures in a "
        "request and the connections. ResNet-18 takes 3 × 224 × 224 in float32 and tells ten classes; several "
        "of its pictures are sent in binary only, at most 128 wait at once, and its points take longer.",
        ratios=tuple(ratios),
        quantities=tuple(story.shown("table rate", "requests/s", story.points("table rate"), name)),
    )


def tell_cpu(story: Story) -> Figure:
    ratios = [
        ratio
        for protocol in RATE_GOALS
        if (ratio := story.ratio("cpu", f"Noria ÷ KServe, {protocol}", protocol=protocol))
    ]
    points = story.points("cpu", model="fashion", connections=16)
    return story.figure(
        id="S5",
        title="Predictor, processor time of a request",
        goal=f"at most {CPU_GOAL} × KServe",
        judged=bool(ratios),
        met=all(ratio.median <= CPU_GOAL for ratio in ratios),
        how="User and system time of the server and all its children, divided by the requests, in the rounds of S1 at "
        "16 connections with the fashion model.",
        ratios=tuple(ratios),
        quantities=(
            *story.shown("cpu", "µs", points, "{server}, {protocol}"),
            story.notes.quantity("ONNX Runtime alone", "µs", Key(what="bare")),
        ),
    )
