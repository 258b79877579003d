"""SVG: build drawings from escaped elements, and place figures on scales."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup, escape


def coordinate(value: float) -> str:
    """Write a coordinate in at most two decimals; a drawing is small and the same on every machine."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def element(tag: str, *children: str, **attributes: str | float) -> Markup:
    """Build one element; `class_` stands for class, `_` for `-`, and all text is escaped unless it is Markup."""
    written = Markup("").join(
        Markup(' {}="{}"').format(
            name.rstrip("_").replace("_", "-"), value if isinstance(value, str) else coordinate(value)
        )
        for name, value in attributes.items()
    )
    if not children:
        return Markup("<{}{}/>").format(Markup(tag), written)  # noqa: S704  tags are names from this package
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), written, Markup("").join(map(escape, children)))  # noqa: S704


def drawing(width: float, height: float, title: str, *children: str, class_: str = "", fluid: bool = True) -> Markup:
    """Build a whole drawing, named for those who cannot see it; a fluid one shrinks with the page."""
    size: dict[str, str | float] = {} if fluid else {"height": height}
    return element(
        "svg", *children, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {coordinate(width)} {coordinate(height)}",
        width=width, **size, role="img", aria_label=title, class_=f"plot {class_}".strip(),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A linear scale from the figures `low` to `high` onto the coordinates `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """The coordinate of a figure; one beyond the scale sits on its edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self, wanted: int = 5) -> tuple[float, ...]:
        """Round figures on the scale, about as many as wanted: steps of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / wanted
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(at * step for at in range(first, last + 1))


def scale_around(values: list[float], start: float, end: float, *, floor: float = -math.inf) -> Scale:
    """A scale that holds all finite values with a little room; it never goes below `floor`, and is never empty."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    room = (high - low) * 0.06 or max(abs(high) * 0.05, 0.001)
    return Scale(low=max(low - room, floor), high=high + room, start=start, end=end)


def tick_text(value: float, scale: Scale) -> str:
    """Write a tick of the scale with as many decimals as its span asks for."""
    decimals = max(0, 1 - math.floor(math.log10(scale.high - scale.low)))
    return f"{value:.{decimals}f}".replace("-", "−")
