import numpy as np
import pytest

from noria.errors import TrainingError
from noria.ml import baselines
from noria.ml.baselines import fit_nearest_mean, no_skill
from noria.ml.metrics import accuracy, expected_calibration_error, log_loss


def blobs(rows: int, spread: float, seed: int = 0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=rows)
    centres = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    return centres[labels] + generator.normal(scale=spread, size=(rows, 2)), labels


def test_the_no_skill_model_gives_the_shares_of_the_training_classes():
    found = no_skill(np.array([0, 0, 1, 3]), rows=2, classes=4)
    assert found.tolist() == [[0.5, 0.25, 0.0, 0.25]] * 2
    with pytest.raises(TrainingError, match="no training labels"):
        no_skill(np.empty(0, np.int64), 1, 2)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 255.0])
def test_the_nearest_mean_is_right_and_its_probabilities_are_sane_on_any_scale(scale):
    features, labels = blobs(4000, spread=1.5)
    rule = fit_nearest_mean(features * scale, labels, 3)
    fresh, truth = blobs(4000, spread=1.5, seed=1)
    given = rule(fresh * scale)
    assert np.allclose(given.sum(axis=1), 1.0)
    assert accuracy(given, truth) > 0.8
    assert expected_calibration_error(given, truth) < 0.03
    assert log_loss(given, truth) < 0.55


def test_memory_chunks_change_nothing(monkeypatch):
    features, labels = blobs(1000, spread=1.0)
    whole = fit_nearest_mean(features, labels, 3)(features)
    monkeypatch.setattr(baselines, "CHUNK", 77)
    # other rows settle the temperature, the means are the same
    assert (fit_nearest_mean(features, labels, 3)(features).argmax(axis=1) == whole.argmax(axis=1)).all()


def test_bytes_are_taken_as_they_are():
    features, labels = blobs(500, spread=0.5)
    pixels = np.clip(features * 20 + 50, 0, 255).astype(np.uint8)
    assert accuracy(fit_nearest_mean(pixels, labels, 3)(pixels), labels) > 0.98


def test_a_class_without_training_rows_is_never_chosen():
    features, labels = blobs(200, spread=0.5)
    given = fit_nearest_mean(features, labels * 2, 5)(np.zeros((3, 2)))
    assert np.isfinite(given).all()
    assert (given[:, [1, 3]] == 0.0).all()


def test_a_single_class_and_rows_that_are_all_equal_are_no_trouble():
    given = fit_nearest_mean(np.ones((10, 3)), np.zeros(10, np.int64), 2)(np.ones((2, 3)))
    assert given.tolist() == [[1.0, 0.0]] * 2
    assert fit_nearest_mean(np.ones((10, 3)), np.zeros(10, np.int64), 2)(np.ones((0, 3))).shape == (0, 2)


def test_rows_without_labels_are_refused():
    with pytest.raises(TrainingError, match="3 rows of features and 2 labels"):
        fit_nearest_mean(np.ones((3, 1)), np.zeros(2, np.int64), 2)
