"""Calibration: the temperature that was put in is found again."""

import numpy as np
import pytest

from noria.errors import TrainingError
from noria.ml.calibration import fit_temperature


def draw_labels(logits, temperature):
    weights = np.exp(logits / temperature)
    shares = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    return (np.random.default_rng(2).random((len(logits), 1)) > shares).sum(axis=1)


def log_loss(logits, labels, temperature):
    scaled = logits / temperature
    return np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels])


LOGITS = np.random.default_rng(1).normal(0, 4, (20_000, 5))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_behind_the_labels_is_found(temperature):
    labels = draw_labels(LOGITS, temperature)
    found = fit_temperature(LOGITS, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    for other in (found * 0.99, found * 1.01):
        assert log_loss(LOGITS, labels, found) < log_loss(LOGITS, labels, other)


def test_the_same_rows_give_the_same_bits():
    labels = draw_labels(LOGITS, 2.0)
    assert fit_temperature(LOGITS, labels) == fit_temperature(LOGITS.copy(), labels)


def test_a_constant_added_to_all_logits_of_a_row_changes_nothing():
    labels = draw_labels(LOGITS, 2.0)
    assert fit_temperature(LOGITS + 1000, labels) == pytest.approx(fit_temperature(LOGITS, labels), rel=1e-6)


def test_a_network_that_is_always_right_gets_the_lowest_temperature():
    logits = np.eye(4) * 3
    assert fit_temperature(logits, np.arange(4)) == pytest.approx(0.05)


def test_a_network_that_is_always_wrong_gets_the_highest_temperature():
    logits = np.eye(4) * 3
    assert fit_temperature(logits, (np.arange(4) + 1) % 4) == pytest.approx(20)


@pytest.mark.parametrize(("logits", "labels"), [
    (np.zeros((3, 2)), np.zeros(2, np.int64)),
    (np.zeros((0, 2)), np.zeros(0, np.int64)),
    (np.zeros(3), np.zeros(3, np.int64)),
    (np.array([[0.0, np.nan]]), np.zeros(1, np.int64)),
])  # fmt: skip
def test_logits_that_do_not_fit_are_refused(logits, labels):
    with pytest.raises(TrainingError, match="logits"):
        fit_temperature(logits, labels)
