"""Forest: the contenders' intervals for one figure, one above the other on a common scale."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from noria.ml.scores import Interval
from noria.reports.svg import Scale, coordinate, drawing, element, scale_around, tick_text

WIDTH, LEFT, RIGHT = 340, 86, 14
TOP, LINE, FOOT = 8, 26, 24


def draw_forest(title: str, intervals: Mapping[str, Interval], factor: float = 1.0) -> Markup:
    """Draw the intervals by contender, times `factor`; one far off the others is an arrow with its figure."""
    scaled = {name: _times(interval, factor) for name, interval in intervals.items()}
    scale = _choose_scale(scaled)
    bottom = TOP + LINE * len(scaled)
    parts = [_axis(scale, bottom)]
    for place, (name, interval) in enumerate(scaled.items()):
        y = TOP + LINE * (place + 0.5)
        parts.append(element("text", name, x=LEFT - 16, y=y + 4, class_="label", text_anchor="end"))
        parts.append(_whisker(name, interval, scale, y))
    return drawing(WIDTH, bottom + FOOT, title, *parts)


def marker(kind: str, x: float, y: float, size: float = 5) -> Markup:
    """Draw a contender's mark: each has a shape of its own, so that colour is never needed to tell them apart."""
    name = f"mark {kind}"
    if kind == "candidate":
        return element("circle", cx=x, cy=y, r=size - 0.5, class_=name)
    if kind.startswith("champion"):
        corners = ((x, y - size - 1), (x + size + 1, y), (x, y + size + 1), (x - size - 1, y))
        return element("polygon", points=" ".join(f"{coordinate(a)},{coordinate(b)}" for a, b in corners), class_=name)
    if kind == "rule":
        return element("rect", x=x - size + 1, y=y - size + 1, width=2 * size - 2, height=2 * size - 2, class_=name)
    return element(
        "path", d=f"M{coordinate(x)} {coordinate(y - size)}v{2 * size}m{-size} {-size}h{2 * size}", class_=name
    )


def _times(interval: Interval, factor: float) -> Interval:
    return Interval(value=interval.value * factor, low=interval.low * factor, high=interval.high * factor)


def _ends(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high]


def _choose_scale(intervals: Mapping[str, Interval]) -> Scale:
    """Fit the scale to candidate and champion, and to others that do not squeeze them; without a champion, to all."""
    first = ("candidate", "champion") if "champion" in intervals else tuple(intervals)
    near = [end for name in first if name in intervals for end in _ends(intervals[name])]
    values = [end for end in near if math.isfinite(end)]
    span = max(values) - min(values) if values else math.inf
    for name, interval in intervals.items():
        reach = [*values, *(end for end in _ends(interval) if math.isfinite(end))]
        if name not in first and max(reach, default=0) - min(reach, default=0) <= 6 * span:
            values = reach
    return scale_around(values, LEFT, WIDTH - RIGHT, floor=0.0 if all(value >= 0 for value in values) else -math.inf)


def _axis(scale: Scale, bottom: float) -> Markup:
    ticks = scale.ticks(4)
    lines = [element("line", x1=scale.place(at), x2=scale.place(at), y1=TOP, y2=bottom, class_="grid") for at in ticks]
    texts = [
        element("text", tick_text(at, scale), x=scale.place(at), y=bottom + 16, class_="tick", text_anchor="middle")
        for at in ticks
    ]
    base = element("line", x1=scale.start, x2=scale.end, y1=bottom, y2=bottom, class_="axis")
    return element("g", *lines, base, *texts)


def _whisker(name: str, interval: Interval, scale: Scale, y: float) -> Markup:
    if not math.isfinite(interval.value):
        return element("text", "no figure", x=scale.start + 4, y=y + 4, class_="tick")
    if not scale.holds(interval.value):
        return _arrow(interval, scale, y)
    low = interval.low if math.isfinite(interval.low) else interval.value
    high = interval.high if math.isfinite(interval.high) else interval.value
    line = element("line", x1=scale.place(low), x2=scale.place(high), y1=y, y2=y, class_=f"whisker {name}")
    return element("g", line, marker(name, scale.place(interval.value), y))


def _arrow(interval: Interval, scale: Scale, y: float) -> Markup:
    low_side = interval.value < scale.low
    text = f"{interval.value:.3g}"
    text = f"← {text}" if low_side else f"{text} →"
    x, anchor = (scale.start + 4, "start") if low_side else (scale.end - 4, "end")
    return element("text", text, x=x, y=y + 4, class_="beyond", text_anchor=anchor)
