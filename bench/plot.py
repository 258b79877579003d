"""Plot: a figure's absolute quantities of one unit, median and range, one above the other on a common scale."""

from __future__ import annotations

from markupsafe import Markup

from bench.figure import Figure, Quantity
from noria.reports.svg import Scale, drawing, element, scale_around, tick_text

WIDTH, LEFT, RIGHT = 640, 230, 30
TOP, LINE, FOOT = 34, 30, 44
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1c2733 } .tick { fill: #5b6875; font-size: 11px }
.paper { fill: #fff } .grid { stroke: #e3e8ee } .range { stroke: #2f6f9f; stroke-width: 3 } .median { fill: #2f6f9f }
.goal { stroke: #b4472e; stroke-dasharray: 4 3 } .goal-text { fill: #b4472e; font-size: 11px }
"""


def draw_figure(figure: Figure) -> Markup:
    """Draw the quantities of the figure's unit, and the goal in that unit as a line."""
    unit = figure.drawn or figure.quantities[0].unit
    drawn = [found for found in figure.quantities if found.unit == unit]
    scale = choose_scale(drawn, figure.mark)
    bottom = TOP + LINE * len(drawn)
    parts = [
        element("style", Markup(STYLE)),
        element("rect", width=WIDTH, height=bottom + FOOT, class_="paper"),
        element("text", f"{figure.title}, {unit}", x=12, y=20),
        *(_tick(at, scale, bottom) for at in scale.ticks()),
        *(_row(found, scale, TOP + LINE * (place + 0.5)) for place, found in enumerate(drawn)),
    ]
    if figure.mark is not None:
        parts.append(_goal(scale.place(figure.mark), bottom))
    return drawing(WIDTH, bottom + FOOT, f"{figure.title}: median and range", *parts)


def choose_scale(drawn: list[Quantity], mark: float | None) -> Scale:
    """From zero on, unless all lies so close together that zero would hide the differences."""
    values = [value for found in drawn for value in (found.minimum, found.maximum)]
    values += [] if mark is None else [mark]
    near = min(values) > 0.8 * max(values) and len(values) > 2
    return scale_around(
        values if near else [0.0, *values], LEFT, WIDTH - RIGHT, floor=0.0 if min(values) >= 0 else min(values)
    )


def _tick(at: float, scale: Scale, bottom: float) -> Markup:
    x = scale.place(at)
    line = element("line", x1=x, x2=x, y1=TOP, y2=bottom, class_="grid")
    return element(
        "g", line, element("text", tick_text(at, scale), x=x, y=bottom + 15, class_="tick", text_anchor="middle")
    )


def _row(found: Quantity, scale: Scale, y: float) -> Markup:
    name = element("text", found.name, x=LEFT - 14, y=y + 4, text_anchor="end")
    ends = {"x1": scale.place(found.minimum), "x2": scale.place(found.maximum)}
    dot = element("circle", cx=scale.place(found.median), cy=y, r=5, class_="median")
    return element("g", name, element("line", **ends, y1=y, y2=y, class_="range"), dot)


def _goal(x: float, bottom: float) -> Markup:
    line = element("line", x1=x, x2=x, y1=TOP - 6, y2=bottom, class_="goal")
    return element("g", line, element("text", "goal", x=x, y=bottom + 30, class_="goal-text", text_anchor="middle"))
