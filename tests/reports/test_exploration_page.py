"""The exploration page tells classes, missing values, distributions, correlations and seasons, and stays small."""

from __future__ import annotations

import dataclasses

import numpy as np
from known_reports import CONTEXT, check_alone, schema_of, text_of

from noria.ml.exploration import Exploration, explore
from noria.ml.seasons import Season
from noria.reports.exploration import exploration_page
from noria.reports.histograms import draw_season
from noria.schema import Column

SCHEMA = schema_of(
    Column(name="flow", type="float64", role="feature"),
    Column(name="level", type="float64", role="feature"),
    Column(name="site", type="string", role="feature"),
    Column(name="age", type="int64", role="feature", personal="personal"),
)


def found(rows: int = 1000, site: str = "north", classes: tuple[str, ...] = ("fine", "foul")) -> Exploration:
    flow = np.random.default_rng(1).normal(size=rows)
    flow[:2], flow[2:7] = 900, np.nan
    return explore(
        SCHEMA,
        {
            "id": np.array([f"item-{row}" for row in range(rows)], object),
            "time": np.datetime64("2025-01-01", "us") + np.arange(rows) * np.timedelta64(7, "h"),
            "flow": flow,
            "level": 2 * flow,
            "site": np.array([site] * rows, object),
            "age": np.arange(rows),
            "label": np.minimum(np.arange(rows) % 4, len(classes) - 1),
        },
        classes,
    )


def test_everything_that_was_found_is_told() -> None:
    page = exploration_page(found(), CONTEXT)
    check_alone(page)
    text = text_of(page)
    assert "1,000 rows from 2025-01-01 00:00 to 2025-10-19 09:00 UTC." in text
    assert (
        "The largest class is foul, 75.0\u202f%. 2 of 7 columns miss values, 2 of 2 measures have values far out."
        in text
    )
    for told in ("5 (0.50\u202f%)", "2 (0.20\u202f%)", "north 100.0\u202f%", "1.000", "Not shown", "age", "By hour"):
        assert told in text
    assert "the share of foul among the labelled rows" in text
    assert page.count("<svg") == 2 + 3


def test_with_more_than_two_classes_no_share_is_drawn() -> None:
    page = exploration_page(found(classes=("fine", "fair", "foul")), CONTEXT)
    check_alone(page)
    assert "share of foul among" not in text_of(page)
    assert 'class="curve"' not in page


def test_nothing_at_all_makes_a_page() -> None:
    page = exploration_page(found(rows=8), CONTEXT)
    check_alone(page)
    none = dataclasses.replace(
        found(rows=8),
        rows=0,
        balance=(0, 0),
        missing=(),
        distributions=(),
        categories=(),
        pairs=(),
        ties=(),
        seasons=(),
    )
    text = text_of(exploration_page(none, CONTEXT))
    assert "No column misses a value." in text
    assert "There is nothing to correlate." in text


def test_texts_from_data_cannot_become_markup() -> None:
    evil = "<script>alert(1)</script>"
    page = exploration_page(found(site=evil, classes=("fine", evil)), dataclasses.replace(CONTEXT, task=evil))
    check_alone(page)
    assert evil not in page
    assert evil in text_of(page)


def test_many_columns_stay_on_a_small_page() -> None:
    some = found()
    many = dataclasses.replace(some, distributions=some.distributions * 300, pairs=some.pairs * 5000)
    page = exploration_page(many, CONTEXT)
    check_alone(page)
    assert "4960 weaker pairs stand in the JSON file." in text_of(page)
    assert len(page) < 1_000_000


def test_equal_explorations_make_equal_pages() -> None:
    assert exploration_page(found(), CONTEXT) == exploration_page(found(), CONTEXT)


def test_a_curve_does_not_run_over_parts_without_rows() -> None:
    season = Season(
        name="hour", parts=("00", "01", "02", "03"), rows=(4, 0, 4, 4), classes=((2, 2), (0, 0), (1, 3), (0, 4))
    )
    assert draw_season(season, "foul").count('class="curve"') == 1
