"""Known reports: evaluations, verdicts and rows of pages, made from seeds."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np

from noria.gates.results import GateResult, Verdict
from noria.ml.evaluation import evaluate
from noria.ml.scores import Evaluation
from noria.reports.page import PageContext
from noria.schema import Column, Schema
from noria.task import Rows

CONTEXT = PageContext(task="known", code="0.1.0+g1234567", created=datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
VOID = {"meta", "img", "br", "hr", "link", "input"}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def schema_of(*features: Column, id_class: str = "none") -> Schema:
    return Schema(
        columns=(
            Column(name="id", type="string", role="id", personal=id_class),
            Column(name="time", type="timestamp", role="time"),
            *features,
            Column(name="label", type="int64", role="label"),
        )
    )


PICTURES = schema_of(Column(name="image", type="uint8", role="feature", shape=(28, 28)))
NUMBERS = schema_of(
    Column(name="flow", type="float32", role="feature", unit="l/s"),
    Column(name="site", type="string", role="feature"),
    Column(name="age", type="int64", role="feature", personal="personal"),
)


def evaluation_of(
    classes: tuple[str, ...], *, rows: int = 600, champion: bool = True, dear: bool = False, told: bool = False
) -> Evaluation:
    """A real evaluation of made-up contenders; `dear` makes one error cost more, `told` adds a part no gate judges."""
    random = np.random.default_rng(7)
    labels = np.arange(rows) % len(classes)
    costs = 1.0 - np.eye(len(classes))
    if dear:
        costs[0, 1] = 4.0
    strengths = {"candidate": 3.0, "champion": 2.8, "rule": 1.0}
    answers = {}
    for name, strength in strengths.items():
        logits = random.normal(size=(rows, len(classes)))
        logits[np.arange(rows), labels] += strength
        answers[name] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if not champion:
        del answers["champion"]
    answers["no-skill"] = np.full((rows, len(classes)), 1 / len(classes))
    return evaluate(
        bundle=digest("candidate"), dataset=digest("dataset"), champion=digest("champion") if champion else "",
        labels=labels, ids=np.array([f"item-{row:04d}" for row in range(rows)], object), probabilities=answers,
        costs=costs.tolist(), classes=classes, draws=100, confidence=0.95, margin=0.005, slice_margin=0.02, seed=1,
        slices={"early": np.arange(rows) < rows // 2, "late": np.arange(rows) >= rows // 2},
        told={"seldom": np.arange(rows) % 7 == 0} if told else {},
    )  # fmt: skip


def verdict_of(evaluation: Evaluation, *, refused: tuple[str, ...] = ()) -> Verdict:
    gates = tuple(
        GateResult(
            name=name,
            figure="0.91 [-0.1, 0.2]",
            limit="at least 0.9",
            passed=name not in refused,
            reason=f"{name} says so",
        )
        for name in ("beats the rule", "calibrated", "answers in time")
    )
    return Verdict(
        bundle=evaluation.bundle, dataset=evaluation.dataset, champion=evaluation.champion, gates=gates,
        passed=not refused,
    )  # fmt: skip


def rows_of(evaluation: Evaluation, schema: Schema) -> Rows:
    random, size = np.random.default_rng(3), len(evaluation.most_wrong)
    makers = {
        "uint8": lambda shape: random.integers(0, 256, (size, *shape), np.uint8),
        "float32": lambda shape: random.normal(size=(size, *shape)).astype(np.float32),
        "int64": lambda shape: random.integers(1000, 9999, (size, *shape)),
        "string": lambda _: np.array([f"site {row}" for row in range(size)], object),
    }
    return {column.name: makers[column.type](column.shape) for column in schema.features}


class _Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def _read(page: str) -> _Balanced:
    parser = _Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def text_of(page: str) -> str:
    """The page's text; fails where an element is not closed in its place."""
    return re.sub(r"[ \n]+", " ", "".join(_read(page).text))


def drawings_of(page: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", page, re.DOTALL)


def check_alone(page: str) -> None:
    """A page is one small file that loads and runs nothing."""
    assert len(page.encode()) < 500_000
    assert not re.search(r"<(script|link|iframe|object|embed|base)\b", page, re.IGNORECASE)
    for name, value in _read(page).attributes:
        assert not name.startswith("on"), name
        if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert value.startswith(("data:image/png;base64,", "#")), value
    assert not re.search(r"url\(|@import", page)
    assert "nan" not in re.findall(r'[ "](nan|inf)[ ",]', " ".join(drawings_of(page)))
