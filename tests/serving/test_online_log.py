"""The features log: whole lines of what the model was given, limited in size, and in nobody's way."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from airline import ASKED, FACTS, FOUND, INFER, NOON, PREDICT, SUPPLIED, at, full, make_airline_model, rows_of, v1, v2
from predictor import predictor, wait_until

from noria.ml.bundle import Facts
from noria.stores.online.store import open_online
from serving.features.figures import StoreFigures
from serving.features.log import WAITING_ROWS, FeaturesLog, Given


@pytest.fixture(scope="module")
def bundle(publish: Callable[[bytes, Facts], Path]) -> Path:
    return publish(make_airline_model(), FACTS)


@pytest.fixture
def online(tmp_path: Path) -> list[object]:
    path = tmp_path / "online.db"
    store = open_online(str(path))
    store.write(rows_of())
    store.close()
    return ["--online", path, "--features-log", tmp_path / "log.jsonl"]


def read(path: Path) -> list[dict[str, Any]]:
    text = path.read_bytes()
    assert text.endswith(b"\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_has_what_the_model_was_given_and_nothing_else(bundle: Path, home: Path, tmp_path: Path, online):
    flight = {"flight": np.array(["secret 1", "secret 2"], object)}
    with predictor(["--bundle", bundle, *online, "--features-log-share", "1"], home) as running:
        client = running.client
        assert client.post(INFER, json=v2({**ASKED, **flight, **at(NOON)}, id="mine")).status_code == 200
        assert client.post(INFER, json=v2(full())).status_code == 200  # a full one is not logged
        assert client.post(PREDICT, json=v1({**ASKED, "tailnum": np.array([None, "N404"], object)})).status_code == 200
        wait_until(lambda: running.metric("noria_features_log_rows_total", outcome="written") == 4, "all is written")
    first, second, *others = read(tmp_path / "log.jsonl")
    assert first == {
        "moment": NOON,
        "id": "mine",
        "keys": {"origin": "EWR", "tailnum": "N1", "carrier": "AA"},
        "given": {"carrier": "AA", "origin": "EWR", "distance": 100.0, "shelf": 1},
        "features": {name: values.tolist()[0] for name, values in FOUND.items()},
        "views": {"weather": "fresh", "aircraft": "fresh", "routes": "fresh"},
    }
    assert list(second["features"]) == [column.name for column in SUPPLIED]
    assert second["features"]["gust"] is None
    assert [one["keys"]["tailnum"] for one in others] == [None, "N404"]
    assert others[0]["features"]["seats"] == 7
    assert others[0]["features"]["kind"] == ""
    assert {one["views"]["aircraft"] for one in others} == {"unknown"}
    assert "secret" not in (tmp_path / "log.jsonl").read_text()


def test_a_share_of_nothing_writes_nothing_and_the_end_waits_for_the_rest(bundle, home, tmp_path, online):
    with predictor(["--bundle", bundle, *online, "--features-log-share", "0"], home) as running:
        assert running.client.post(INFER, json=v2(ASKED)).status_code == 200
    assert read(tmp_path / "log.jsonl") == []
    with predictor(["--bundle", bundle, *online, "--features-log-share", "1"], home) as running:
        for _ in range(50):
            assert running.client.post(INFER, json=v2(ASKED)).status_code == 200
        running.terminate()
        assert running.process.wait(30) == 0
    assert len(read(tmp_path / "log.jsonl")) == 100


def given(rows: int) -> Given:
    return Given(
        id="x",
        rows=rows,
        moments=[NOON] * rows,
        keys={"k": ["a"] * rows},
        given={},
        features={"f": np.arange(float(rows))},
        views={"v": ["fresh"] * rows},
    )


def make(path: Path, most_bytes: int = 2**20) -> tuple[FeaturesLog, StoreFigures]:
    figures = StoreFigures()
    return FeaturesLog(path, share=0.25, most_bytes=most_bytes, figures=figures), figures


def test_two_files_are_kept_at_most_and_each_line_is_whole(tmp_path: Path):
    path = tmp_path / "log"
    log, figures = make(path, most_bytes=20_000)
    for _ in range(300):
        log.put(given(7))
    log.close()
    assert figures.logged["written"] == 2100
    assert {file.name for file in tmp_path.iterdir()} == {"log", "log.1"}
    for file in tmp_path.iterdir():
        assert read(file)
        assert file.stat().st_size <= 20_000 + 100 * 7 * 100  # a batch may be larger than the limit


def test_it_goes_on_after_what_stands_there(tmp_path: Path):
    for count in (3, 6):
        log, _ = make(tmp_path / "log")
        log.put(given(3))
        log.close()
        assert len(read(tmp_path / "log")) == count


def test_a_disk_that_is_full_costs_lines_and_never_half_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = os.write
    log, figures = make(tmp_path / "log")
    monkeypatch.setattr(os, "write", lambda file, text: write(file, text[:20]))
    log.put(given(3))
    wait_until(lambda: figures.logged["dropped"] == 3, "they are dropped")
    monkeypatch.undo()
    log.put(given(2))
    log.close()
    assert (len(read(tmp_path / "log")), figures.logged["written"]) == (2, 2)


def test_a_disk_that_hangs_costs_lines_and_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log, figures = make(tmp_path / "log")
    write, free, begun = os.write, threading.Event(), threading.Event()

    def hang(file: int, text: bytes) -> int:
        begun.set()
        free.wait(30)
        return write(file, text)

    monkeypatch.setattr(os, "write", hang)
    log.put(given(1))
    assert begun.wait(30)
    for _ in range(WAITING_ROWS // 1000 + 5):
        log.put(given(1000))
    assert 0 < figures.logged["dropped"] <= 5000
    free.set()
    log.close()
    assert figures.logged["written"] + figures.logged["dropped"] == 1 + WAITING_ROWS + 5000


def test_the_share_is_that_of_the_requests(tmp_path: Path):
    log, _ = make(tmp_path / "log")
    chosen = sum(log.wants() for _ in range(10_000))
    log.close()
    assert 2200 < chosen < 2800
