"""What /metrics tells of models, requests, batches and predictions, and what a log line looks like."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from predictor import Predictor, predictor
from questions import rows_of_many, v1, v2
from tiny_models import CLASSES

from serving.logs import JsonFormatter, Sample
from serving.metrics import UNREAD, make_metrics

INFER = "/v2/models/wardrobe/infer"


@pytest.fixture
def fresh(many_bundle: Path, home: Path) -> Iterator[Predictor]:
    with predictor(["--bundle", many_bundle], home) as running:
        yield running


def test_requests_rows_predictions_and_refusals_are_counted(fresh: Predictor):
    decided = []
    for rows in (1, 3, 2):
        answer = fresh.client.post(INFER, json=v2(rows_of_many(rows))).json()
        decided += next(output["data"] for output in answer["outputs"] if output["name"] == "label")
    assert fresh.client.post("/v1/models/wardrobe:predict", json=v1(rows_of_many(4))).status_code == 200
    assert fresh.client.post(INFER, content=b"{").status_code == 400
    named = {"model": "wardrobe", "version": str(fresh.ready["digest"])[:12]}
    assert fresh.metric("noria_requests_total", protocol="v2", code="200", **named) == 3
    assert fresh.metric("noria_requests_total", protocol="v2", code="400", **named) == 1
    assert fresh.metric("noria_requests_total", protocol="v1", code="200", **named) == 1
    assert fresh.metric("noria_request_seconds_count", protocol="v2", **named) == 4
    assert fresh.metric("noria_refused_inputs_total", kind="malformed", **named) == 1
    assert fresh.metric("noria_batch_rows_sum", **named) == 10
    assert fresh.metric("noria_queue_seconds_count", **named) == 4
    assert fresh.metric("noria_run_seconds_count", **named) == 4
    assert fresh.metric("noria_waiting_requests", **named) == 0
    assert fresh.metric("noria_confidence_count", **named) == 10
    counts = {name: fresh.metric("noria_predictions_total", **named, **{"class": name}) for name in CLASSES}
    assert sum(counts.values()) == 10
    assert all(counts[name] >= decided.count(place) for place, name in enumerate(CLASSES))
    assert fresh.metric("noria_model_load_seconds", **named) > 0
    assert fresh.metric("noria_connections") >= 1
    assert fresh.metric("process_resident_memory_bytes") > 0


def test_an_unknown_name_makes_no_series(fresh: Predictor):
    for number in range(20):
        assert fresh.client.post(f"/v2/models/stranger-{number}/infer", content=b"{}").status_code == 404
        assert fresh.client.get(f"/nowhere/{number}").status_code == 404
    text = fresh.client.get("/metrics").text
    assert "stranger" not in text
    assert "nowhere" not in text


def test_predictions_are_told_whole_however_many_batches_wait_to_be_counted():
    metrics = make_metrics().model_came("m", "v", "b", ("yes", "no"))
    batches = 2 * UNREAD + 3
    for _ in range(batches):
        probabilities = np.array([[0.95, 0.05], [0.3, 0.7]], np.float32)
        metrics.ran({"label": np.array([0, 1]), "probabilities": probabilities}, 2, 0.001)
    counts, confidence = metrics.told()
    assert counts == [batches, batches]
    assert confidence.counts == [0, 0, 0, 0, 0, 0, batches, 0, 0, batches, 0]
    assert confidence.sum == pytest.approx(batches * 1.65)
    assert metrics.told()[0] == counts


def test_a_bundle_that_is_missed_again_and_then_comes_keeps_its_one_count():
    metrics = make_metrics()
    first, second = (metrics.model_missed("m", bundle, bundle) for bundle in ("first", "second"))
    assert metrics.model_missed("m", "first", "first") is first
    first.fallbacks["last-good"] += 1
    come = metrics.model_came("m", "first", "first", ("yes", "no"))
    first.fallbacks["last-good"] += 1  # of a request that was under way
    text = metrics.render().decode()
    assert 'noria_fallbacks_total{by="last-good",model="m",version="first"} 2.0' in text
    assert metrics.model_missed("m", "first", "first") is come, "beside the default one it is asked for, too"
    assert second.fallbacks == {}


def record(message: str, *values: object, at: float = 1000.0) -> logging.LogRecord:
    made = logging.LogRecord("serving", logging.WARNING, __file__, 1, message, values, None)
    made.created = at
    return made


def test_a_log_line_is_json_whatever_a_name_holds():
    line = JsonFormatter().format(record("no bundle %s", 'x"\n{"level": "info"}'))
    assert "\n" not in line
    assert json.loads(line)["event"] == 'no bundle x"\n{"level": "info"}'


def test_of_one_kind_of_line_only_the_first_in_a_minute_are_written_and_the_next_says_how_many_were_not():
    sample = Sample(burst=3)
    written = [sample.filter(record("late: %d", number)) for number in range(10)]
    assert written == [True] * 3 + [False] * 7
    assert sample.filter(record("another"))
    later = record("late: %d", 11, at=1061.0)
    assert sample.filter(later)
    assert json.loads(JsonFormatter().format(later))["left_out"] == 7
