"""Cross-validation: each fold is answered by what came before it alone, and all of them are measured together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noria.errors import DatasetError
from noria.gates.limits import Limits
from noria.ml.dataset import Dataset, table_of, write_dataset
from noria.ml.training import TrainingParameters
from noria.steps import cross_validation
from noria.steps.cross_validation import CrossValidated, cross_validate, split_folds
from noria.task import load_task
from noria.tasks.fashion_statistics import describe_pictures

ROWS, A_DAY = 200, 20
RECIPE = TrainingParameters(
    seed=1, epochs=1, batch_size=32, learning_rate=0.01, patience=1, threads=1, network={"width": 4}
)
DAYS = {"validation_days": 1, "holdout_days": 2}
FIRST_HELD, SECOND_HELD = np.arange(120, 160), np.arange(160, 200)


def pictures() -> dict[str, np.ndarray[Any, Any]]:
    """Ten days of pictures that are all different."""
    random = np.random.default_rng(1)
    names = np.array([f"item-{row:03d}" for row in range(ROWS)], object)
    images = random.integers(0, 256, (ROWS, 28, 28), np.uint8)
    return {
        "id": names,
        "item": names,
        "time": np.datetime64("2017-09-01", "us") + np.arange(ROWS) * np.timedelta64(72 * 60_000_000, "us"),
        "image": images,
        **describe_pictures(images),
        "label": random.permutation(np.arange(ROWS) % 10),
    }


def write(folder: Path, rows: dict[str, np.ndarray[Any, Any]]) -> Dataset:
    schema = load_task("fashion").schema
    return write_dataset(folder, "fashion", schema, [table_of(schema, rows)])


def answers_of(
    folder: Path, rows: dict[str, np.ndarray[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> tuple[CrossValidated, Sequence[cross_validation.Answers]]:
    """What two folds come to, and the probabilities that each contender gave."""
    kept, examine = [], cross_validation.examine

    def keep(*asked: Any) -> Any:
        found = examine(*asked)
        kept.append(found[1])
        return found

    monkeypatch.setattr(cross_validation, "examine", keep)
    found = cross_validate(
        write(folder, rows), folds=2, **DAYS, recipe=RECIPE, draws=20, limits=Limits(), progress=lambda *_: None
    )
    monkeypatch.setattr(cross_validation, "examine", examine)
    return found, kept


def test_every_held_out_row_is_measured_once_and_by_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, answers = answers_of(tmp_path / "rows", pictures(), monkeypatch)
    assert found.places == (*FIRST_HELD, *SECOND_HELD)
    assert [fold.training_rows for fold in found.folds] == [5 * A_DAY, 7 * A_DAY]
    assert [fold.evaluation.rows for fold in found.folds] == [40, 40]
    assert (found.together.rows, set(found.together.scores)) == (80, {"candidate", "rule", "no-skill"})
    for fold in answers:
        for told in fold.values():
            np.testing.assert_allclose(told.sum(axis=1), 1, atol=1e-6)


def test_no_answer_depends_on_what_is_held_out_or_comes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pictures()
    _, answers = answers_of(tmp_path / "rows", rows, monkeypatch)
    later = {**rows, "label": rows["label"].copy(), "image": rows["image"].copy()}
    later["label"][FIRST_HELD] = (later["label"][FIRST_HELD] + 3) % 10
    later["label"][SECOND_HELD] = 0
    later["image"][SECOND_HELD] = 255 - later["image"][SECOND_HELD]
    _, changed = answers_of(tmp_path / "later", {**later, **describe_pictures(later["image"])}, monkeypatch)
    for name, told in answers[0].items():
        np.testing.assert_array_equal(changed[0][name], told)
    # What the first fold held out, the second one learns from.
    assert (changed[1]["no-skill"] != answers[1]["no-skill"]).any()


def test_a_row_that_stands_in_the_holdout_as_well_is_not_learned_from(tmp_path: Path) -> None:
    rows = pictures()
    rows["image"][[3, 105]] = rows["image"][FIRST_HELD[:2]]
    dataset = write(tmp_path / "rows", {**rows, **describe_pictures(rows["image"])})
    first, second = split_folds(dataset, dataset.load(), folds=2, **DAYS)
    assert set(range(5 * A_DAY)) - set(first.train.tolist()) == {3}
    assert set(range(5 * A_DAY, 6 * A_DAY)) - set(first.validation.tolist()) == {105}
    assert {3, 105} <= set(second.train.tolist())


def test_folds_that_reach_too_far_back_are_refused(tmp_path: Path) -> None:
    dataset = write(tmp_path / "rows", pictures())
    with pytest.raises(DatasetError, match=r"fold 1, which ends with .*cannot be made"):
        split_folds(dataset, dataset.load(), folds=5, **DAYS)
