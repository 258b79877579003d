"""Train as a step: what a task's fallback leaves in the bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from noria.errors import TrainingError
from noria.gates.evidence import DataEvidence
from noria.ml.bundle import Bundle, open_bundle
from noria.ml.dataset import table_of, write_dataset
from noria.ml.inference import Session, predict
from noria.ml.manifest import digest_of
from noria.ml.training import TrainingParameters
from noria.settings import Settings
from noria.steps.train import train
from noria.steps.workspace import Workspace
from noria.task import load_task
from noria.tasks.fashion import Fashion
from noria.tasks.fashion_statistics import describe_pictures

ROWS = 200
FIRST = np.datetime64("2017-09-01", "us")
RECIPE = TrainingParameters(
    seed=1, epochs=1, batch_size=32, learning_rate=0.01, patience=1, threads=1, network={"width": 4}
)
ROWS_BEFORE = ROWS * 7 // 10  # of ten days, one is for validation and two are held out


def pictures() -> dict[str, np.ndarray[Any, Any]]:
    """Ten days of pictures that are all different."""
    random = np.random.default_rng(1)
    names = np.array([f"item-{row:03d}" for row in range(ROWS)], object)
    images = random.integers(0, 256, (ROWS, 28, 28), np.uint8)
    return {
        "id": names,
        "item": names,
        "time": FIRST + np.arange(ROWS) * np.timedelta64(72, "m").astype("timedelta64[us]"),
        "image": images,
        **describe_pictures(images),
        "label": np.arange(ROWS) % 10,
    }


def train_on_pictures(folder: Path, **changes: np.ndarray[Any, Any]) -> tuple[Workspace, Bundle]:
    workspace = Workspace(settings=Settings.from_environment({"NORIA_HOME": str(folder / "home")}))
    schema = load_task("fashion").schema
    made = write_dataset(folder / "made", "fashion", schema, [table_of(schema, {**pictures(), **changes})])
    workspace.store.put_folder(f"datasets/{made.digest}", made.folder)
    evidence = folder / "evidence.json"
    evidence.write_bytes(msgspec.json.encode(DataEvidence(dataset=made.digest, rows=ROWS, violations=0, notices=0)))
    bundle, _ = train(
        workspace, uri=workspace.store.uri(f"datasets/{made.digest}"), evidence=str(evidence), validation_days=1,
        holdout_days=2, recipe=RECIPE, code="test",
        progress=lambda *_: None,
    )  # fmt: skip
    return workspace, bundle


def test_the_rule_of_a_task_that_declares_a_fallback_is_in_the_bundle_and_answers_as_it_does(tmp_path: Path) -> None:
    workspace, bundle = train_on_pictures(tmp_path)
    rows = pictures()
    rule = load_task("fashion").fit_rule({"image": rows["image"][:ROWS_BEFORE]}, rows["label"][:ROWS_BEFORE])
    assert bundle.facts.fallback
    assert bundle.rule is not None
    found = predict(Session.load(bundle.rule), {"image": rows["image"]})
    np.testing.assert_allclose(found, rule({"image": rows["image"]}), atol=1e-5)
    manifest = json.loads((bundle.folder / "manifest.json").read_bytes())
    assert manifest["files"]["rule.onnx"] == digest_of(bundle.rule)
    again = open_bundle(bundle.folder, trusted=workspace.trusted, expected=bundle.digest)
    assert again.rule == bundle.rule


def test_a_task_that_declares_none_has_a_bundle_without_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fashion, "fallback", False)
    _, bundle = train_on_pictures(tmp_path)
    assert (bundle.facts.fallback, bundle.rule) == (False, None)
    assert not (bundle.folder / "rule.onnx").exists()


def test_a_rule_that_cannot_be_served_is_told_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fashion, "fit_rule", lambda *_: lambda rows: np.full((len(rows["image"]), 10), 0.1))
    monkeypatch.setattr(Fashion, "build_network", lambda *_: pytest.fail("the training has begun"))
    with pytest.raises(TrainingError, match="task fashion declares a fallback, but its rule"):
        train_on_pictures(tmp_path)


def test_whatever_the_context_says_the_model_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    _, first = train_on_pictures(tmp_path / "first")
    random = np.random.default_rng(5)
    others = {"ink": random.uniform(0, 255, ROWS), "filled": np.zeros(ROWS), "symmetry": np.full(ROWS, np.nan)}
    _, second = train_on_pictures(tmp_path / "second", **others)
    assert first.facts.training_data != second.facts.training_data
    assert digest_of(first.model) == digest_of(second.model)
    assert first.rule == second.rule
    for graph in (first.model, first.rule):
        assert [tensor.name for tensor in Session.load(graph).inputs] == ["image"]
