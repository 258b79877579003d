"""Dashboards and alerts: every series that they name is one that the predictor really has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from rendered import CHART, of_kind

pytestmark = pytest.mark.xdist_group("chart-predictor")  # who share one
# What a scrape in Kubernetes adds to every series.
TARGET = {"namespace", "pod", "job", "instance", "le"}
NAME = re.compile(r"\b(?:noria|process|python)_[a-z0-9_]+")
LABELS = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)|\b([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"")
EXPRESSIONS = [
    pytest.param(text, id=f"{where}-{number}")
    for number, (where, text) in enumerate(
        [
            *(
                (rule["alert"], rule["expr"])
                for path in sorted(CHART.glob("files/rules/*.yaml"))
                for group in yaml.safe_load(path.read_text())["groups"]
                for rule in group["rules"]
            ),
            *(
                (panel["title"], target["expr"])
                for path in sorted(CHART.glob("files/dashboards/*.json"))
                for panel in json.loads(path.read_text())["panels"]
                for target in panel["targets"]
            ),
            *(
                ("scaling", each["spec"]["triggers"][0]["metadata"]["query"])
                for each in of_kind("prod", "ScaledObject")
            ),
        ]
    )
]


@pytest.fixture(scope="module")
def series(running) -> dict[str, set[str]]:
    """Every series of a predictor that has answered, refused and lacked features, with the labels it may have."""
    from airline import ASKED, INFER, v2

    assert running.client.post(INFER, json=v2(ASKED)).status_code == 200
    assert running.client.post(INFER, json={"inputs": []}).status_code == 400
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(running.client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
        if not family.samples:  # one that counts only what has not happened yet: its kind tells its series
            found[f"{family.name}_total" if family.type == "counter" else family.name] = set()
    return found


# Counters that begin with their first event, with the labels that serving/metrics.py gives them.
UNSEEN = {"noria_fallbacks_total": {"model", "version", "by"}}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_names_series_and_labels_that_there_are(text, series):
    names = NAME.findall(text)
    assert names, text
    assert [name for name in names if name not in series] == []
    known = TARGET.union(*(series[name] or UNSEEN.get(name, set()) for name in names))
    assert set(labels_of(text)) <= known, text


def labels_of(text: str) -> Iterator[str]:
    for grouped, compared in LABELS.findall(text):
        yield from (each.strip() for each in (grouped or compared).split(","))


def test_what_an_alert_says_uses_labels_that_its_expression_keeps():
    for rule in alerts():
        kept = set(labels_of(rule["expr"]))
        said = set(re.findall(r"\$labels\.([a-z_]+)", " ".join(rule["annotations"].values())))
        assert said <= kept, rule["alert"]


def test_every_alert_says_what_is_wrong_and_how_bad_it_is():
    found = alerts()
    assert len({rule["alert"] for rule in found}) == len(found) >= 10
    for rule in found:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]


def alerts() -> list[dict[str, Any]]:
    return [
        rule
        for path in sorted(CHART.glob("files/rules/*.yaml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


@pytest.mark.parametrize("path", sorted(CHART.glob("files/dashboards/*.json")), ids=lambda path: path.stem)
def test_the_panels_of_a_dashboard_lie_beside_one_another(path):
    board = json.loads(path.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_figure_of_the_predictor_is_on_a_dashboard(series):
    shown = {name for case in EXPRESSIONS for name in NAME.findall(case.values[0])}
    ours = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in series if name.startswith("noria_")}
    assert {name for name in ours if not any(each.startswith(name) for each in shown)} == set()
