"""Drawings and formats keep to their scales, and the palette can be read."""

from __future__ import annotations

import base64
import io
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from noria.ml.scores import Interval
from noria.reports import formats, page
from noria.reports.forest import WIDTH, draw_forest
from noria.reports.png import LARGEST, draw_picture, is_picture
from noria.reports.reliability import wilson_interval
from noria.reports.svg import Scale, drawing, element, scale_around
from noria.schema import Column

ANY = st.floats(allow_nan=True, allow_infinity=True)


def test_text_and_attributes_are_escaped() -> None:
    drawn = drawing(10, 10, 'a "b" <c>', element("text", "<script>", class_='x"y'))
    assert ET.fromstring(drawn)[0].text == "<script>"
    assert "<script>" not in drawn


@given(st.lists(ANY, max_size=6))
def test_a_scale_holds_its_figures_whatever_they_are(values: list[float]) -> None:
    values = [value if not math.isfinite(value) else max(-1e9, min(value, 1e9)) for value in values]
    scale = scale_around(values, 10, 90)
    assert scale.low < scale.high
    assert all(scale.holds(value) for value in values if math.isfinite(value))
    assert all(10 <= scale.place(value) <= 90 for value in values if not math.isnan(value))
    assert 1 <= len(scale.ticks(4)) <= 12


def test_ticks_are_round_figures() -> None:
    assert Scale(low=0, high=1, start=0, end=1).ticks(5) == pytest.approx((0, 0.2, 0.4, 0.6, 0.8, 1))
    assert Scale(low=85.1, high=86.6, start=0, end=1).ticks(4) == pytest.approx((85.5, 86, 86.5))


@given(st.lists(st.tuples(ANY, ANY, ANY), min_size=4, max_size=4))
def test_a_forest_stays_on_its_paper(figures: list[tuple[float, float, float]]) -> None:
    figures = [tuple(max(-1e9, min(f, 1e9)) if math.isfinite(f) else f for f in row) for row in figures]
    names = ("candidate", "champion", "rule", "no-skill")
    intervals = {n: Interval(value=v, low=a, high=b) for n, (v, a, b) in zip(names, figures, strict=True)}
    drawn = draw_forest("title", intervals)
    ET.fromstring(drawn)
    assert all(0 <= float(x) <= WIDTH for x in re.findall(r' (?:x|x1|x2|cx)="(-?[\d.]+)"', drawn))
    assert not re.search(r'="[^"]*(nan|inf)', drawn)


def test_a_far_contender_is_an_arrow_and_does_not_squeeze_the_others() -> None:
    near = {
        name: Interval(value=at, low=at - 0.01, high=at + 0.01)
        for name, at in (("candidate", 0.93), ("champion", 0.92))
    }
    drawn = draw_forest("title", {**near, "no-skill": Interval(value=0.1, low=0.09, high=0.11)})
    assert "← 0.1<" in drawn
    whiskers = re.findall(r'x1="([\d.]+)" x2="([\d.]+)"[^>]*class="whisker', drawn)
    assert len(whiskers) == 2
    assert all(float(b) - float(a) > 100 for a, b in whiskers)


def test_the_wilson_interval_is_that_of_the_books() -> None:
    # 8 of 10 at 95 %: R. G. Newcombe's formula gives 0.4902 to 0.9433.
    found = wilson_interval(0.8, 10, 0.95)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(1.0, 5, 0.95).high == 1.0
    assert wilson_interval(0.0, 5, 0.95).low == 0.0


@pytest.mark.parametrize("shape", [(28, 28), (8, 20, 3), (400, 300), (512, 512, 3)])
def test_a_picture_is_small_and_the_same_each_time(shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert is_picture(Column(name="image", type="uint8", role="feature", shape=shape))
    picture = draw_picture(noise)
    assert picture == draw_picture(noise.copy())
    packed = base64.b64decode(picture.address.removeprefix("data:image/png;base64,"))
    assert len(packed) <= LARGEST
    seen = Image.open(io.BytesIO(packed))
    assert seen.size == (picture.width, picture.height)
    if max(shape[:2]) <= 112:
        np.testing.assert_array_equal(np.asarray(seen), noise)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("float32", (28, 28)), ("uint8", (28,)), ("uint8", (28, 28, 4)), ("uint8", (1, 9)), ("uint8", ())],
)
def test_other_columns_are_no_pictures(kind: str, shape: tuple[int, ...]) -> None:
    assert not is_picture(Column(name="x", type=kind, role="feature", shape=shape))


def test_figures_are_written_for_people() -> None:
    assert formats.points(0.0123) == "+1.23"
    assert formats.points(-0.0123) == "−1.23"
    assert formats.points(-0.0000001) == "0.00"
    assert formats.points(math.nan) == "n/a"
    assert formats.percent(math.inf) == "∞"
    assert formats.percent(0.5) == "50.00\u202f%"
    assert formats.tidy("-0.1 to t10k-05 and 2025-01-01") == "−0.1 to t10k-05 and 2025-01-01"
    assert formats.moment("2025-01-01T00:00:00.000001") == "2025-01-01T00:00:00.000001"


def _luminance(rgb: tuple[float, ...]) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _contrast(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The contrast of WCAG 2.2, 1.4.3."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_in_light_and_dark_and_on_every_shade() -> None:
    style = (Path(page.__file__).parent / "templates" / "style.css.j2").read_text(encoding="utf-8")
    strengths = [float(s) for s in re.search(r"for strength in \(([^)]*)\)", style)[1].split(",")]
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        hexes = dict(re.findall(r"--([a-z]+): #([0-9a-f]{6})", scheme))
        colour = {name: tuple(int(text[i : i + 2], 16) for i in (0, 2, 4)) for name, text in hexes.items()}
        for name in ("ink", "soft", "blue", "orange", "green"):
            assert _contrast(colour[name], colour["paper"]) >= 4.5, (name, scheme)
        shades = {n: tuple(map(int, v.split())) for n, v in re.findall(r"--(\w+)-rgb: ([\d ]+)", scheme)}
        for step, strength in enumerate(strengths, 1):
            for tone, share in (("blue", strength), ("orange", step * 0.08 + 0.02)):
                ground = tuple(s * share + p * (1 - share) for s, p in zip(shades[tone], colour["paper"], strict=True))
                ink = (255, 255, 255) if tone == "blue" and step >= 8 else colour["ink"]
                assert _contrast(ink, ground) >= 4.5, (tone, step, scheme)
