"""Limits: S2 to S4, told from the notes: what a request adds, what an overload does, how long a start takes."""

from __future__ import annotations

from bench.figure import Figure, Quantity, divide, quantity
from bench.serving.figures import ADDED_GOAL_US, REFUSAL_GOAL_MS, SHARE_GOAL, START_GOAL_S, Story
from bench.serving.notes import Key
from bench.serving.overload import CONNECTIONS, RECOVERY_SECONDS, TIMES

FLAT_MIB = 32.0  # what a server may grow by under an overload and still be called flat
TOLD = {
    "overload answered": ("answered ÷ peak", "share"),
    "overload answered p50": ("latency of the answered, p50", "ms"),
    "overload answered p99": ("latency of the answered, p99", "ms"),
    "overload refused": ("refused ÷ due", "share"),
    "overload refused p99": ("latency of the refused, p99", "ms"),
    "overload refused once sent p99": ("latency of the refused from their sending, p99", "ms"),
    "overload without retry-after": ("refused without Retry-After", "requests"),
    "overload lost": ("lost ÷ due", "share"),
    "overload growth": ("growth of peak memory", "MiB"),
    "overload silent": ("first right answer after it", "s"),
    "overload peak": ("peak", "requests/s"),
    "overload due": ("requests that were due", "requests/s"),
}


def tell_added(story: Story) -> Figure:
    bare = story.notes.of(Key(what="bare"))
    titles = {peer.name: peer.title for peer in story.plan.servers}
    added: dict[tuple[str, str], list[float]] = {}
    for key in story.points("one"):
        added[titles[key.server], key.protocol] = [
            one - own for one, own in zip(story.notes.of(key), bare, strict=True)
        ]
    ratios = [
        divide(f"KServe ÷ Noria, {protocol}", added["KServe", protocol], ours)
        for (server, protocol), ours in added.items()
        if server == "Noria" and ("KServe", protocol) in added and min(ours) > 0
    ]
    noria = quantity("", "", added["Noria", "V2 binary"])
    return story.figure(
        id="S2",
        title="Predictor, added latency",
        goal=f"at most {ADDED_GOAL_US:.0f} µs over the bare call, V2 binary, p50, one connection",
        met=noria.median <= ADDED_GOAL_US,
        how="Our own client, closed loop on one connection, one picture, fashion model: p50 of a request, less p50 of "
        "ONNX Runtime's own call on the same core in the same round.",
        ratios=tuple(ratios),
        quantities=(
            *(quantity(f"{server}, {protocol}, added", "µs", values) for (server, protocol), values in added.items()),
            story.notes.quantity("ONNX Runtime's own call", "µs", Key(what="bare")),
            story.notes.quantity("a request that does nothing", "µs", Key(what="echo", connections=1)),
        ),
        mark=ADDED_GOAL_US,
    )


def tell_overload(story: Story) -> Figure:
    titles = {peer.name: peer.title for peer in story.plan.servers}
    quantities: list[Quantity] = []
    for what, (name, unit) in TOLD.items():
        for key in sorted(story.points(what), key=lambda key: key.server != "noria"):
            told = name if key.model == "fashion" else f"{name}, {key.model}"
            quantities.append(story.notes.quantity(f"{titles[key.server]}, {told}", unit, key))
    late = max(value for key in story.notes.keys("overload late") for value in story.notes.of(key))
    return story.figure(
        id="S3",
        title="Predictor, overload",
        goal=f"at least {SHARE_GOAL:.0%} of the peak answered, the rest refused with Retry-After within "
        f"{REFUSAL_GOAL_MS:.0f} ms, memory flat",
        met=all(held(story, key.model) for key in story.points("overload peak", server="noria")),
        rounds=1,
        how=f"Our own client, open loop at {TIMES} times the server's own peak, which is measured right before, for "
        f"{story.plan.overload_seconds:.0f} s on {CONNECTIONS:,} connections; V2 binary, one picture. Timed from the "
        "moment a request was due. Refused is what got 429 or 503; lost are those that found no connection free in "
        "all the time, those whose connection broke, and those with another status. Flat memory grows by less than "
        f"{FLAT_MIB:.0f} MiB. Once the load is gone a server is asked until it answers rightly again, "
        f"{RECOVERY_SECONDS:.0f} s at most: who shows {RECOVERY_SECONDS:.0f} s did not answer again.",
        quantities=tuple(quantities),
        drawn="share",
        mark=SHARE_GOAL,
        facts={"client's own lateness": f"{late:.1f} ms (p99)"},
    )


def held(story: Story, model: str) -> bool:
    """Whether Noria did with this model what the goal asks for; a request that was lost was not refused in time."""

    def found(what: str) -> float:
        key = Key(what=f"overload {what}", server="noria", model=model)
        return story.notes.of(key)[0] if key in story.notes else 0.0

    came_back = found("silent") < RECOVERY_SECONDS
    refused_well = found("refused p99") <= REFUSAL_GOAL_MS and not found("without retry-after") and not found("lost")
    return found("answered") >= SHARE_GOAL and refused_well and came_back and found("growth") <= FLAT_MIB


def tell_start(story: Story) -> Figure:
    titles = {peer.name: peer.title for peer in story.plan.servers}
    titles |= {"kserve+torch": "KServe with torch", "bare": "Python with ONNX Runtime"}
    starts = {key.server: story.notes.of(key) for key in story.points("start")}
    return story.figure(
        id="S4",
        title="Predictor, start to the first answer",
        goal=f"at most {START_GOAL_S} s",
        met=quantity("", "", starts["noria"]).median <= START_GOAL_S,
        rounds=story.plan.starts,
        how="From the exec of the server to its first right answer, fashion model, in turn; the client tries again "
        "without a pause. KServe with torch runs the same network as a TorchScript program. The last one starts "
        "Python, loads the model and asks it once, without a server.",
        ratios=tuple(
            divide(f"{titles[name]} ÷ Noria", starts[name], starts["noria"])
            for name in ("kserve+torch", "kserve")
            if name in starts
        ),
        quantities=tuple(quantity(titles[name], "s", values) for name, values in starts.items()),
        mark=START_GOAL_S,
    )
