"""Page: a served model for people to try in a browser, as one answer that needs nothing from anywhere else."""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
import numpy as np

from noria import __version__
from noria.ml.inference import DATATYPES
from noria.schema import Column
from serving.example import example_value
from serving.shapes import kinds_of
from serving.values import ValueRule

if TYPE_CHECKING:
    from serving.model import ServedModel

STATIC = Path(__file__).with_name("static")
SCRIPTS = ("fields.js", "pad.js", "picture.js", "answer.js", "page.js")
LEAST_SIDE = 8  # cells; what is smaller is nothing that one could draw
ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='#0b8a94' stroke-width='2'>"
    "<circle cx='12' cy='12' r='9'/><path d='M12 3v18M3 12h18M6 6l12 12M18 6 6 18'/></svg>"
)

_TEMPLATE = Template((STATIC / "page.html").read_text("utf-8"))
_STYLE = (STATIC / "page.css").read_text("utf-8")
_SCRIPT = "\n".join((STATIC / name).read_text("utf-8") for name in SCRIPTS)


def _source(text: str) -> str:
    """The text as a source that a Content-Security-Policy allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# The page runs its own script, takes its own style, and asks its own server: a schema with markup in it, or anything
# else that gets in, can do nothing.
POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src {_source(_SCRIPT)}",
        f"style-src {_source(_STYLE)}",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
CONTENT_TYPE = b"text/html; charset=utf-8"
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
    (b"vary", b"accept"),  # at the same address a program gets JSON
)


@dataclass(frozen=True, kw_only=True)
class ColumnCard:
    """What the page's script is told of a column. `least` and `most` are its type's limits, as texts."""

    name: str
    kind: str  # picture | number | flag | text | moment
    datatype: str
    whole: bool
    shape: tuple[int, ...]
    unit: str
    description: str
    minimum: float | None
    maximum: float | None
    least: str
    most: str
    nullable: bool
    example: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What the page's script is told of a model; `infer` and `metadata` are addresses relative to the page.

    `service` supplies the features that are not among the columns; "" where there are none.
    """

    key: str
    name: str
    bundle: str
    classes: tuple[str, ...]
    infer: str
    metadata: str
    columns: tuple[ColumnCard, ...]
    service: str


def render(model: ServedModel, others: Sequence[ServedModel] = ()) -> bytes:
    """The page of a model, with a choice of the others; of models with one name, the first answers by default."""
    cards = [_describe_model(model, by_default=True)]
    names = {model.name}
    for other in others:
        cards.append(_describe_model(other, by_default=other.name not in names))
        names.add(other.name)
    models = msgspec.json.encode(cards).decode().replace("<", "\\u003c")  # no text may end the script element
    page = _TEMPLATE.substitute(
        title=html.escape(model.name),
        version=html.escape(__version__),
        icon=f"data:image/svg+xml,{quote(ICON)}",
        style=_STYLE,
        script=_SCRIPT,
        models=models,
    )
    return page.encode()


def _describe_model(model: ServedModel, *, by_default: bool) -> ModelCard:
    address = f"v2/models/{quote(model.name, safe='')}"
    if not by_default:
        address = f"{address}/versions/{quote(model.version, safe='')}"
    kind, plan = kinds_of(model)[0], model.plan
    is_completed = plan is not None and plan.supplied and model.completes
    moments = (_describe_moment(plan.moment),) if plan is not None and is_completed else ()
    return ModelCard(
        key=model.name if by_default else f"{model.name}/{model.version}",
        name=model.name,
        bundle=model.digest,
        classes=model.facts.classes,
        infer=f"{address}/infer",
        metadata=address,
        columns=(*(_describe_column(column) for column in kind.needed), *moments),
        service=plan.service.name if plan is not None and is_completed else "",
    )


def _describe_column(column: Column) -> ColumnCard:
    least, most = _limits(column)
    return ColumnCard(
        name=column.name,
        kind=_kind(column),
        datatype=DATATYPES[column.type],
        whole=column.dtype.kind in "ui",
        shape=column.shape,
        unit=column.unit,
        description=column.description,
        minimum=column.minimum,
        maximum=column.maximum,
        least=least,
        most=most,
        nullable=ValueRule(column).allows_missing,
        example=_example_text(column),
        choices=column.choices,
    )


def _describe_moment(column: Column) -> ColumnCard:
    """The moment of a request that is completed: the store of a past one is asked for that, and not for now."""
    told = "the moment that is asked about; now where it is left empty"
    card = replace(_describe_column(column), kind="moment", unit="UTC", description=told, example="")
    return replace(card, nullable=True, minimum=None, maximum=None)


def _kind(column: Column) -> str:
    if column.type == "uint8" and len(column.shape) == 2 and min(column.shape) >= LEAST_SIDE:
        return "picture"
    if column.type == "string":
        return "text"
    return "flag" if column.type == "bool" else "number"


def _limits(column: Column) -> tuple[str, str]:
    if column.dtype.kind in "ui":
        whole = np.iinfo(column.dtype)
        return str(whole.min), str(whole.max)
    if column.dtype.kind == "f":
        real = np.finfo(column.dtype)
        return str(float(real.min)), str(float(real.max))
    return "", ""


def _example_text(column: Column) -> str:
    """The example as it stands in a field of the form: several values with spaces between, texts one a line."""
    value = example_value(column)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode().removesuffix(".0")
    separator = "\n" if column.type == "string" else " "
    return separator.join([text] * math.prod(column.shape)) if _kind(column) != "picture" else ""
