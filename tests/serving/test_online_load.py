"""The online store under load: values that change are never mixed, unknown keys cost no memory, batches are kept."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from airline import ASKED, EVENT, FACTS, INFER, NAME, NOON, at, full, make_airline_model, one_row, pack, rows_of, v2
from online_stores import redis
from predictor import PATIENCE, Predictor, predictor
from questions import outputs

from noria.ml.bundle import Facts, write_bundle
from noria.ml.rule import fit_nearest_mean_rule
from noria.ml.signature import Signer
from noria.stores.online.store import open_online

ROW = {**one_row(ASKED), **at(NOON, 1)}


@pytest.fixture(scope="module")
def bundle(publish: Callable[[bytes, Facts], Path]) -> Path:
    return publish(make_airline_model(), FACTS)


@pytest.fixture(params=["SQLite", "Redis"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "SQLite":
        yield str(tmp_path / "online.db")
    else:
        with redis(tmp_path) as server:
            yield server.address


def chances(answer: httpx.Response) -> list[float]:
    assert answer.status_code == 200, answer.text
    return outputs(answer.json())["probabilities"][0].tolist()


def test_values_that_change_under_load_are_never_torn(bundle: Path, home: Path, address: str, tmp_path: Path):
    """All values of two views change together, in one write: each answer is that of one version."""
    store = open_online(address)
    store.write(rows_of())
    versions = range(10)
    log = ["--features-log", tmp_path / "log", "--features-log-share", "1"]
    arguments = ["--bundle", bundle, "--online", address, "--online-seconds", "5", *log]
    try:
        with predictor(arguments, home) as running:
            allowed = {tuple(chances(ask(running, _full(version)))) for version in versions}
            store.write(_version(0, EVENT))
            stop, found = threading.Event(), []

            def read() -> None:
                with running.connect() as client:
                    while not stop.is_set():
                        found.append(tuple(chances(client.post(INFER, json=v2(ROW)))))

            readers = [threading.Thread(target=read) for _ in range(4)]
            for reader in readers:
                reader.start()
            step, until = 0, time.monotonic() + PATIENCE
            while len(found) < 300 and time.monotonic() < until:
                store.write(_version(step % 10, EVENT + step))
                step += 1
            stop.set()
            for reader in readers:
                reader.join(PATIENCE)
        assert len(found) >= 300
        close = np.array(sorted(allowed))
        for one in set(found):
            assert np.abs(close - np.array(one)).max(axis=1).min() < 1e-6
        lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
        assert len({line["features"]["seats"] for line in lines}) > 1
        for line in lines:
            features = line["features"]
            assert features["seats"] == features["temperature"] == features["gust"], "a torn read"
    finally:
        store.close()


def _version(version: int, event: int) -> list[tuple[bytes, bytes]]:
    return [
        pack("weather", ["EWR"], (float(version), float(version)), event),
        pack("aircraft", ["N1"], ("jet", version, None), event),
    ]


def _full(version: int) -> Any:
    changes = {"temperature": np.array([float(version)]), "gust": np.array([version], np.float32)}
    return {**one_row(full()), **changes, "seats": np.array([version]), "idle": np.array([np.nan])}


def ask(running: Predictor, rows: Any) -> httpx.Response:
    return running.client.post(INFER, json=v2(rows))


def test_unknown_keys_cost_no_memory(bundle: Path, home: Path, tmp_path: Path):
    path = str(tmp_path / "online.db")
    store = open_online(path)
    store.write(rows_of())
    store.close()
    dice = random.Random(5)
    with predictor(["--bundle", bundle, "--online", path, "--online-memory-rows", "500"], home) as running:

        def strangers(requests: int) -> None:
            for _ in range(requests):
                names = np.array([f"N{dice.getrandbits(64)}" for _ in range(500)], object)
                many = {name: np.resize(values, 500) for name, values in {**ASKED, **at(NOON)}.items()}
                assert ask(running, {**many, "tailnum": names}).status_code == 200

        strangers(20)
        before = resident(running)
        strangers(60)
        assert resident(running) < before + 4 * 2**20
        assert running.metric("noria_online_remembered_rows") == 4


def test_no_more_rows_are_remembered_than_may_be(bundle: Path, home: Path, tmp_path: Path):
    path = str(tmp_path / "online.db")
    store = open_online(path)
    store.write([*rows_of(), *(pack("aircraft", [f"T{n}"], ("jet", n, None)) for n in range(900))])
    store.close()
    with predictor(["--bundle", bundle, "--online", path, "--online-memory-rows", "100"], home) as running:
        many = {name: np.resize(values, 900) for name, values in {**ASKED, **at(NOON)}.items()}
        many["tailnum"] = np.array([f"T{n}" for n in range(900)], object)
        assert ask(running, many).status_code == 200
        assert running.metric("noria_online_remembered_rows") == 100


def resident(running: Predictor) -> int:
    return int(running.metric("process_resident_memory_bytes"))


def test_requests_that_are_completed_wait_for_the_model_together(bundle: Path, home: Path, address: str):
    store = open_online(address)
    store.write(rows_of())
    store.close()
    with predictor(["--bundle", bundle, "--online", address, "--online-seconds", "5"], home) as running:
        whole = chances(ask(running, one_row(full())))
        wrong: list[object] = []

        def many() -> None:
            with running.connect() as client:
                for _ in range(50):
                    found = chances(client.post(INFER, json=v2(ROW)))
                    if np.abs(np.array(found) - whole).max() > 1e-6:
                        wrong.append(found)

        threads = [threading.Thread(target=many) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert wrong == []
        batches = running.metric("noria_batch_rows_count", model=NAME)
        assert batches < running.metric("noria_batch_rows_sum", model=NAME) == 401


def test_a_fallback_answers_completed_requests_with_the_features_that_were_found(
    home: Path, signer: Signer, address: str, tmp_path: Path
):
    from dataclasses import replace

    dice = np.random.default_rng(1)
    columns = [column for column in FACTS.schema.features if column.name in {"distance", "seats"}]
    rows = {"distance": dice.uniform(0, 5000, 60).astype(np.float32), "seats": dice.integers(0, 300, 60)}
    rule = fit_nearest_mean_rule(columns, rows, dice.integers(0, 3, 60), 3).write_graph(FACTS.schema)
    folder = tmp_path / "bundle"
    facts = replace(FACTS, fallback=True)
    write_bundle(folder, model=make_airline_model(), facts=facts, profile=b"{}", signer=signer, rule=rule)
    store = open_online(address)
    store.write(rows_of())
    store.close()
    with predictor(["--bundle", folder, "--online", address, "--online-seconds", "5"], home) as running:
        failing = {**ROW, "shelf": np.array([9])}
        answer = ask(running, failing)
        assert answer.headers["noria-fallback"] == "rule"
        assert "noria-features" not in answer.headers
        whole = ask(running, {**one_row(full()), "shelf": np.array([9])})
        assert chances(answer) == chances(whole)
        marked = ask(running, {**failing, "tailnum": np.array(["N404"], object)})
        assert (marked.headers["noria-fallback"], marked.headers["noria-features"]) == ("rule", "defaults")
        assert marked.json()["parameters"]["fallback"] == "rule"
