"""Reliability: does the confidence that the model states come true? A diagram over the counts of its bins."""

from __future__ import annotations

import math
from statistics import NormalDist

from markupsafe import Markup

from noria.ml.scores import CalibrationBin, Interval
from noria.reports.formats import count
from noria.reports.svg import Scale, coordinate, drawing, element

WIDTH, LEFT, RIGHT, TOP = 460, 52, 12, 10
PLOT = WIDTH - LEFT - RIGHT  # the diagram is square
GAP, BARS, FOOT = 34, 62, 40


def wilson_interval(share: float, rows: int, confidence: float) -> Interval:
    """The interval of a share by E. B. Wilson, JASA 22 (1927) 209; it needs no draws and stays within [0, 1]."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return Interval(value=share, low=max(0.0, middle - reach), high=min(1.0, middle + reach))


def filled_bins(bins: tuple[CalibrationBin, ...]) -> tuple[CalibrationBin, ...]:
    """The bins that hold rows and whose figures are numbers."""
    return tuple(b for b in bins if b.rows > 0 and math.isfinite(b.confidence) and math.isfinite(b.accuracy))


def draw_reliability(bins: tuple[CalibrationBin, ...], confidence: float) -> Markup:
    """Draw accuracy over confidence, one point a bin, and beneath it how many rows each bin holds."""
    across = Scale(low=0, high=1, start=LEFT, end=LEFT + PLOT)
    up = Scale(low=0, high=1, start=TOP + PLOT, end=TOP)
    shown = filled_bins(bins)
    points = [(across.place(b.confidence), up.place(b.accuracy)) for b in shown]
    whiskers = [_draw_whisker(b, across, up, confidence) for b in shown]
    line = element("polyline", points=" ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in points), class_="curve")
    dots = [element("circle", cx=x, cy=y, r=4, class_="mark candidate") for x, y in points]
    return drawing(
        WIDTH, TOP + PLOT + GAP + BARS + FOOT, "Reliability diagram: accuracy over stated confidence",
        _draw_frame(across, up), *whiskers, line, *dots, _draw_counts(bins, across), class_="reliability",
    )  # fmt: skip


def _draw_frame(across: Scale, up: Scale) -> Markup:
    parts = [element("line", x1=across.start, y1=up.start, x2=across.end, y2=up.end, class_="ideal")]
    for at in across.ticks(5):
        x, y = across.place(at), up.place(at)
        parts += [
            element("line", x1=across.start, x2=across.end, y1=y, y2=y, class_="grid"),
            element("line", x1=x, x2=x, y1=up.start, y2=up.end, class_="grid"),
            element("text", f"{at:.1f}", x=across.start - 8, y=y + 4, class_="tick", text_anchor="end"),
            element("text", f"{at:.1f}", x=x, y=up.start + 16, class_="tick", text_anchor="middle"),
        ]
    middle = (up.start + up.end) / 2
    turned = f"rotate(-90 14 {coordinate(middle)})"
    parts.append(element("text", "Accuracy", x=14, y=middle, class_="label", text_anchor="middle", transform=turned))
    return element("g", *parts)


def _draw_whisker(shown: CalibrationBin, across: Scale, up: Scale, confidence: float) -> Markup:
    interval = wilson_interval(min(max(shown.accuracy, 0.0), 1.0), shown.rows, confidence)
    x = across.place(shown.confidence)
    return element(
        "line", x1=x, x2=x, y1=up.place(interval.low), y2=up.place(interval.high), class_="whisker candidate thin"
    )


def _draw_counts(bins: tuple[CalibrationBin, ...], across: Scale) -> Markup:
    """Bars of the bins' rows; the tallest bin fills the height, and the figures say what the bars cannot."""
    bottom = TOP + PLOT + GAP + BARS
    most = max((b.rows for b in bins), default=0) or 1
    parts = []
    for shown in bins:
        x, width = across.place(shown.low), across.place(shown.high) - across.place(shown.low)
        height = BARS * shown.rows / most
        if shown.rows:
            bar = {"x": x + 1, "y": bottom - height, "width": max(width - 2, 1), "height": max(height, 0.75)}
            parts.append(element("rect", **bar, class_="bar"))
            parts.append(
                element(
                    "text",
                    count(shown.rows),
                    x=x + width / 2,
                    y=bottom - height - 4,
                    class_="small",
                    text_anchor="middle",
                )
            )
    base = element("line", x1=across.start, x2=across.end, y1=bottom, y2=bottom, class_="axis")
    middle = (across.start + across.end) / 2
    words = element(
        "text", "Stated confidence; bars: rows a bin", x=middle, y=bottom + 26, class_="label", text_anchor="middle"
    )
    return element("g", *parts, base, words)
