"""Histograms: bars over equal bins in a table row, and bars over the parts of a season with a curve of shares."""

from __future__ import annotations

from itertools import pairwise

from markupsafe import Markup

from noria.ml.distributions import Distribution
from noria.ml.seasons import Season
from noria.reports.formats import count, percent
from noria.reports.svg import Scale, coordinate, drawing, element, scale_around, tick_text

WIDTH, HEIGHT, EDGE = 240, 40, 10  # of a table row's; the edges are kept for what lies far out
WIDE, LEFT, RIGHT, TOP, TALL, FOOT = 460, 56, 48, 14, 150, 24
MOST_NAMES = 12  # below a season's bars


def draw_histogram(found: Distribution) -> Markup:
    """Draw the bins; a hollow mark at an end says that values lie beyond the fence there."""
    most = max(found.counts, default=0) or 1
    step = (WIDTH - 2 * EDGE) / max(len(found.counts), 1)
    blocks = "".join(_block(place, step, rows / most) for place, rows in enumerate(found.counts) if rows)
    beyond = [
        element("circle", element("title", f"{count(rows)} rows {side}"), cx=x, cy=HEIGHT - 7, r=3.5,
                class_="mark champion hollow")
        for rows, x, side in ((found.under, 5, "below"), (found.over, WIDTH - 5, "above"))
        if rows
    ]  # fmt: skip
    base = element("line", x1=EDGE, x2=WIDTH - EDGE, y1=HEIGHT - 2, y2=HEIGHT - 2, class_="axis")
    title = f"Histogram of {found.name}, {count(found.outliers)} rows far out"
    return drawing(
        WIDTH, HEIGHT, title, element("path", d=blocks, class_="bar"), base, *beyond, class_="strip", fluid=False
    )


def draw_season(season: Season, told: str) -> Markup:
    """Draw the rows of each part; with two classes, also the share of the second, which is called `told`."""
    bottom = TOP + TALL
    most = max(season.rows, default=0) or 1
    up = Scale(low=0, high=most, start=bottom, end=TOP)
    step = (WIDE - LEFT - RIGHT) / max(len(season.parts), 1)
    parts = [_rung(up, at) for at in up.ticks(4)]
    for place, (name, rows) in enumerate(zip(season.parts, season.rows, strict=True)):
        x = LEFT + place * step
        parts += filter(None, [_bar(x, step, bottom, bottom - up.place(rows), rows)])
        if place % -(-len(season.parts) // MOST_NAMES) == 0:
            parts.append(element("text", name, x=x + step / 2, y=bottom + 15, class_="small", text_anchor="middle"))
    parts.append(element("line", x1=LEFT, x2=WIDE - RIGHT, y1=bottom, y2=bottom, class_="axis"))
    if told:
        parts.append(_curve(season, step))
    words = f"Rows by {season.name}" + (f", and the share of {told}" if told else "")
    return drawing(WIDE, bottom + FOOT, words, *parts)


def _block(place: int, step: float, share: float) -> str:
    """A bin's bar as a part of one path, which takes a tenth of the room of an element a bar."""
    left, tall = EDGE + place * step + 0.5, max((HEIGHT - 6) * share, 0.75)
    return f"M{coordinate(left)} {HEIGHT - 2}v{coordinate(-tall)}h{coordinate(max(step - 1, 0.5))}v{coordinate(tall)}z"


def _bar(x: float, step: float, bottom: float, height: float, rows: int) -> Markup | None:
    if not rows:
        return None
    tall = max(height, 0.75)  # one row is seen, beside however many
    return element(
        "rect", element("title", count(rows)), x=x + 0.5, y=bottom - tall, width=max(step - 1, 0.5), height=tall,
        class_="bar",
    )  # fmt: skip


def _rung(up: Scale, at: float) -> Markup:
    y = up.place(at)
    return element(
        "g",
        element("line", x1=LEFT, x2=WIDE - RIGHT, y1=y, y2=y, class_="grid"),
        element("text", f"{at:,.0f}", x=LEFT - 8, y=y + 4, class_="tick", text_anchor="end"),
    )


def _curve(season: Season, step: float) -> Markup:
    """The share of the second class among the labelled rows of each part that has any, on the axis at the right."""
    shares = [
        (place, second / (first + second))
        for place, (first, second) in enumerate(season.classes)
        if first + second
    ]  # fmt: skip
    scale = scale_around([share * 100 for _, share in shares], TOP + TALL, TOP, floor=0.0)
    points = [(LEFT + (place + 0.5) * step, scale.place(share * 100), share) for place, share in shares]
    # Only neighbours are joined: over a part without rows nothing is known.
    lines = [
        element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="curve")
        for (x1, y1, _), (x2, y2, _) in pairwise(points)
        if x2 - x1 < 1.5 * step
    ]
    dots = [
        element("circle", element("title", percent(share)), cx=x, cy=y, r=3, class_="mark candidate")
        for x, y, share in points
    ]
    ticks = [
        element("text", f"{tick_text(at, scale)} %", x=WIDE - RIGHT + 8, y=scale.place(at) + 4, class_="tick")
        for at in scale.ticks(4)
    ]
    return element("g", *lines, *dots, *ticks)
