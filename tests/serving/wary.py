"""A task that declares a fallback: a model that hangs or fails as its rows say, and rules that never do."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from predictor import PATIENCE, Predictor
from questions import rows_of_many, v2
from shop import Shop
from tiny_models import CLASSES, MANY, ONE, SLOW, facts_of, make_model, schema_of

from noria.ml.bundle import Facts, write_bundle
from noria.ml.inference import Session, predict
from noria.ml.manifest import digest_of
from noria.ml.rule import fit_nearest_mean_rule
from noria.ml.signature import Signer

WARY = (*SLOW, MANY[3])  # it hangs for many "rounds", and fails on some of the "shelf"s
FACTS = replace(facts_of(WARY), fallback=True)
INFER = "/v2/models/wardrobe/infer"
PREDICT = "/v1/models/wardrobe:predict"
ENDLESS, LONG = 10**9, 6000
MODEL = make_model(WARY)
SOON = ["--fallback-seconds", "0.2"]


def rule_of(seed: int) -> bytes:
    """A nearest class mean over the pixels, which fails on nothing."""
    random = np.random.default_rng(seed)
    rows = {"pixels": random.integers(0, 256, (60, 2, 2), dtype=np.uint8)}
    labels = random.integers(0, len(CLASSES), 60)
    return fit_nearest_mean_rule(ONE, rows, labels, len(CLASSES)).write_graph(schema_of(WARY))


RULE = rule_of(1)


def asked(*, rows: int = 3, rounds: int = 0, shelf: int = 1) -> dict[str, NDArray[Any]]:
    pixels = rows_of_many(rows)["pixels"]
    return {"pixels": pixels, "rounds": np.full(rows, rounds), "shelf": np.full(rows, shelf)}


FAILING = asked(shelf=9)


def expected(model: bytes, features: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    return predict(Session.load(model), features)


def who(response: httpx.Response) -> str:
    """Who answered in the model's place, as body and header say alike."""
    assert response.status_code == 200, response.text
    told = response.json()["parameters"].get("fallback", "")
    assert response.headers.get("noria-fallback", "") == told
    return str(told)


def counted(running: Predictor, by: str, asked_for: str = "") -> float:
    """How many answers another one gave, in the place of the bundle of this digest, or of the only one."""
    version = {"version": asked_for[:12]} if asked_for else {}
    return running.metric("noria_fallbacks_total", model="wardrobe", by=by, **version)


def write(folder: Path, signer: Signer, model: bytes = MODEL, rule: bytes | None = RULE) -> Path:
    facts = replace(FACTS, fallback=rule is not None)
    write_bundle(folder, model=model, facts=facts, profile=b"{}", signer=signer, rule=rule)
    return folder


def send(running: Predictor, features: Mapping[str, NDArray[Any]]) -> socket.socket:
    """Ask and do not wait for the answer."""
    body = json.dumps(v2(features)).encode()
    client = socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE)
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


class WaryShop(Shop):
    """A shop whose task declares a fallback; models that never fail are made like rules."""

    def make(self, model: bytes, rule: bytes | None = RULE) -> str:
        return self.promote(self.put(model, rule, replace(FACTS, fallback=rule is not None)))

    def put(self, model: bytes, rule: bytes | None, facts: Facts) -> str:
        folder = self.home / "new"
        write_bundle(folder, model=model, facts=facts, profile=b"{}", signer=self.signer, rule=rule)
        digest = digest_of((folder / "manifest.json").read_bytes())
        self.store.put_folder(f"bundles/{digest}", folder)
        shutil.rmtree(folder)
        return digest

    def hide(self, digest: str) -> Path:
        place = self.home / "objects" / "bundles" / digest
        return place.rename(self.home / digest)

    def show(self, digest: str) -> None:
        (self.home / digest).rename(self.home / "objects" / "bundles" / digest)


def ask(running: Predictor, features: Mapping[str, NDArray[Any]] = FAILING) -> tuple[str, str]:
    """Who answered, and which bundle."""
    response = running.client.post(INFER, json=v2(features))
    told = who(response)
    assert response.headers["noria-bundle"].startswith(response.json()["model_version"])
    return told, response.headers["noria-bundle"]
