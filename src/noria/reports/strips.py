"""Strips: one interval a table row, all on the scale that the table's head shows."""

from __future__ import annotations

import math

from markupsafe import Markup

from noria.ml.scores import Interval
from noria.reports.forest import marker
from noria.reports.svg import Scale, drawing, element, tick_text

WIDTH, HEIGHT, EDGE = 240, 22, 12


def strip_ends() -> tuple[float, float]:
    """The coordinates between which a strip's scale runs."""
    return EDGE, WIDTH - EDGE


def draw_strip(
    interval: Interval, scale: Scale, *, title: str, opponent: float | None = None, lines: tuple[float, ...] = ()
) -> Markup:
    """Draw an interval with its figure; the opponent's is a hollow diamond, `lines` run from row to row."""
    middle = HEIGHT / 2
    ticks = [
        element("line", x1=scale.place(at), x2=scale.place(at), y1=0, y2=HEIGHT, class_="grid") for at in scale.ticks(4)
    ]
    marked = [
        element("line", x1=scale.place(at), x2=scale.place(at), y1=0, y2=HEIGHT, class_="margin" if at else "zero")
        for at in lines
    ]
    shapes = []
    if opponent is not None and math.isfinite(opponent):
        shapes.append(marker("champion hollow", scale.place(opponent), middle, 4))
    if math.isfinite(interval.value):
        low = interval.low if math.isfinite(interval.low) else interval.value
        high = interval.high if math.isfinite(interval.high) else interval.value
        ends = {"x1": scale.place(low), "x2": scale.place(high), "y1": middle, "y2": middle}
        shapes.append(element("line", **ends, class_="whisker candidate"))
        shapes.append(marker("candidate", scale.place(interval.value), middle, 4.5))
    return drawing(WIDTH, HEIGHT, title, *ticks, *marked, *shapes, class_="strip", fluid=False)


def draw_strip_axis(scale: Scale, unit: str) -> Markup:
    """Draw the scale's figures, to stand in the head of the strips' column."""
    texts = [
        element("text", tick_text(at, scale), x=scale.place(at), y=11, class_="tick", text_anchor="middle")
        for at in scale.ticks(4)
    ]
    return drawing(WIDTH, 15, f"axis in {unit}", *texts, class_="strip", fluid=False)
