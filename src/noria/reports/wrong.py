"""Wrong items: the rows that the candidate was most surely wrong about, as pictures or as feature values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from noria.errors import EvidenceError
from noria.ml.findings import MASKED, show_value
from noria.ml.scores import Evaluation, WrongItem
from noria.reports.formats import clipped, count, percent
from noria.reports.png import Picture, draw_picture, is_picture
from noria.schema import Column, Schema
from noria.task import Rows

MOST_ITEMS = 24
MOST_COLUMNS = 12
SHOWN_SIDE = 112  # pixels of a picture's longer side on the page


@dataclass(frozen=True, kw_only=True)
class WrongPicture:
    picture: Picture
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class WrongLine:
    """One item; it has either a picture or values."""

    id: str
    truth: str
    decision: str
    confidence: str
    picture: WrongPicture | None
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WrongView:
    lines: tuple[WrongLine, ...]
    columns: tuple[Column, ...]
    pictured: str
    more_columns: int


def view_wrong(evaluation: Evaluation, schema: Schema, rows: Rows) -> WrongView:
    """Show the items; `rows` are those of `evaluation.most_wrong`, in its order.

    The first feature that is a picture and no personal datum is shown as one; without such a feature the items become a
    table. Raises EvidenceError where the rows are not those of the items.
    """
    items = evaluation.most_wrong
    _check_rows(items, schema, rows)
    picture = next((c for c in schema.features if is_picture(c) and c.personal == "none"), None)
    columns = () if picture else schema.features[:MOST_COLUMNS]
    hidden = schema.id.personal != "none"
    return WrongView(
        lines=tuple(
            _line(item, {name: values[place] for name, values in rows.items()}, hidden, picture, columns)
            for place, item in enumerate(items[:MOST_ITEMS])
        ),
        columns=columns,
        pictured=picture.name if picture else "",
        more_columns=0 if picture else len(schema.features) - len(columns),
    )


def _check_rows(items: tuple[WrongItem, ...], schema: Schema, rows: Rows) -> None:
    for column in schema.features if items else ():
        if column.name not in rows or len(rows[column.name]) != len(items):
            found = len(rows[column.name]) if column.name in rows else "no"
            raise EvidenceError(
                f"feature {column.name!r} has {found} values for the report's {len(items)} most wrong rows: hand in "
                "the rows of evaluation.most_wrong, in its order"
            )


def _line(
    item: WrongItem, row: Mapping[str, Any], hidden: bool, picture: Column | None, columns: tuple[Column, ...]
) -> WrongLine:
    return WrongLine(
        id=f"row {count(item.row)}" if hidden else clipped(item.id, 40),
        truth=item.truth,
        decision=item.decision,
        confidence=percent(item.confidence, 1),
        picture=_pictured(draw_picture(row[picture.name])) if picture else None,
        values=tuple(_value(row[column.name], column) for column in columns),
    )


def _pictured(picture: Picture) -> WrongPicture:
    larger = SHOWN_SIDE / max(picture.width, picture.height)
    return WrongPicture(
        picture=picture, width=max(1, round(picture.width * larger)), height=max(1, round(picture.height * larger))
    )


def _value(value: Any, column: Column) -> str:
    if column.personal != "none":
        return MASKED
    if value is None or (column.shape == () and value != value):  # noqa: PLR0124  NaN and NaT differ from themselves
        return "missing"
    if column.dtype.kind == "f" and column.shape == ():
        return f"{float(value):.6g}".replace("-", "−")
    return show_value(value)
