"""Exploration page: what a dataset looks like: its classes, columns, correlations and seasons."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from noria.ml.correlations import Pair, Ties
from noria.ml.distributions import Categories, Distribution
from noria.ml.exploration import Exploration
from noria.reports.formats import count, decimal, percent
from noria.reports.histograms import draw_histogram, draw_season
from noria.reports.page import PageContext, render

MOST_CLASSES, MOST_COLUMNS, MOST_PAIRS = 100, 200, 40


@dataclass(frozen=True, kw_only=True)
class ClassLine:
    name: str
    rows: str
    share: str


@dataclass(frozen=True, kw_only=True)
class NumberLine:
    """One measure; `quartiles` are three figures, `ends` the least and the most."""

    name: str
    missing: str
    mean: str
    deviation: str
    quartiles: str
    ends: str
    outliers: str
    histogram: Markup


@dataclass(frozen=True, kw_only=True)
class TextLine:
    name: str
    missing: str
    distinct: str
    most: tuple[tuple[str, str], ...]
    others: str


@dataclass(frozen=True, kw_only=True)
class LinkLine:
    """Two measures, or a measure and "" for the classes."""

    first: str
    second: str
    value: str
    rows: str


@dataclass(frozen=True, kw_only=True)
class ExplorationView:
    sentence: str
    rows: str
    classes: tuple[ClassLine, ...]
    unlabelled: int
    missing: tuple[tuple[str, str, str], ...]
    numbers: tuple[NumberLine, ...]
    texts: tuple[TextLine, ...]
    unseen: tuple[str, ...]
    ties: tuple[LinkLine, ...]
    pairs: tuple[LinkLine, ...]
    pairs_left_out: int
    seasons: tuple[tuple[str, Markup], ...]
    told: str


def exploration_page(exploration: Exploration, context: PageContext) -> str:
    """Write the page as one HTML file that needs nothing else; columns beyond MOST_COLUMNS stand only in the JSON."""
    told = exploration.classes[1] if len(exploration.classes) == 2 else ""
    view = ExplorationView(
        sentence=_sentence(exploration),
        rows=count(exploration.rows),
        classes=_classes(exploration),
        unlabelled=exploration.unlabelled,
        missing=tuple((each.name, count(each.rows), percent(each.share)) for each in exploration.missing if each.rows),
        numbers=tuple(map(_number, exploration.distributions[:MOST_COLUMNS])),
        texts=tuple(map(_text, exploration.categories[:MOST_COLUMNS])),
        unseen=exploration.unseen,
        ties=tuple(map(_link, exploration.ties[:MOST_PAIRS])),
        pairs=tuple(map(_link, exploration.pairs[:MOST_PAIRS])),
        pairs_left_out=max(len(exploration.pairs) - MOST_PAIRS, 0),
        seasons=tuple((season.name, draw_season(season, told)) for season in exploration.seasons if any(season.rows)),
        told=told,
    )
    return render("exploration.html.j2", context, view)


def _sentence(found: Exploration) -> str:
    first, last = (at[:16].replace("T", " ") for at in (found.start, found.end))
    span = f" from {first} to {last} UTC" if found.start else ""
    labelled = sum(found.balance)
    largest = max(range(len(found.balance)), key=found.balance.__getitem__, default=None)
    balance = ""
    if labelled and largest is not None:
        balance = f" The largest class is {found.classes[largest]}, {percent(found.balance[largest] / labelled, 1)}."
    lacking = sum(each.rows > 0 for each in found.missing)
    far = sum(each.outliers > 0 for each in found.distributions)
    return (
        f"{count(found.rows)} rows{span}.{balance} {lacking} of {len(found.missing)} columns miss values, "
        f"{far} of {len(found.distributions)} measures have values far out."
    )


def _classes(found: Exploration) -> tuple[ClassLine, ...]:
    labelled = sum(found.balance) or 1
    ordered = sorted(zip(found.classes, found.balance, strict=True), key=lambda item: -item[1])
    return tuple(
        ClassLine(name=name, rows=count(rows), share=percent(rows / labelled)) for name, rows in ordered[:MOST_CLASSES]
    )


def _number(found: Distribution) -> NumberLine:
    least, _, lower, middle, upper, _, most = map(_figure, found.quantiles) if found.quantiles else ("–",) * 7
    return NumberLine(
        name=found.name,
        missing=_lacking(found.missing, found.rows),
        mean=_figure(found.mean),
        deviation=_figure(found.deviation),
        quartiles=f"{lower} · {middle} · {upper}",
        ends=f"{least} to {most}",
        outliers=_lacking(found.outliers, found.rows),
        histogram=draw_histogram(found),
    )


def _text(found: Categories) -> TextLine:
    return TextLine(
        name=found.name,
        missing=_lacking(found.missing, found.rows),
        distinct=count(found.distinct),
        most=tuple((value, percent(rows / found.rows, 1)) for value, rows in found.most),
        others=percent(found.others / found.rows, 1) if found.others else "",
    )


def _link(link: Pair | Ties) -> LinkLine:
    first, second = (link.first, link.second) if isinstance(link, Pair) else (link.name, "")
    return LinkLine(first=first, second=second, value=decimal(link.value, 3), rows=count(link.rows))


def _lacking(rows: int, total: int) -> str:
    return f"{count(rows)} ({percent(rows / total)})" if rows else "0"


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return (f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}").replace("-", "−")
