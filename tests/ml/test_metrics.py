import numpy as np
import pytest

from noria.ml.metrics import accuracy, calibration_bins, confusion, expected_calibration_error, log_loss

PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55]])
LABELS = np.array([0, 1, 1, 1])


def test_accuracy_and_log_loss_of_rows_counted_by_hand():
    assert accuracy(PROBABILITIES, LABELS) == 0.75
    assert log_loss(PROBABILITIES, LABELS) == pytest.approx(-np.log([0.9, 0.2, 0.7, 0.55]).mean())


def test_a_certain_error_costs_sixteen_nats_not_infinity():
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(16.118, abs=1e-3)
    assert log_loss(np.array([[1.0, 0.0]]), np.array([0])) == 0.0


def test_calibration_error_of_rows_counted_by_hand():
    # confidences 0.9, 0.8, 0.7, 0.55 lie in four bins of fifteen: |1-0.9| + |0-0.8| + |1-0.7| + |1-0.55| over 4
    assert expected_calibration_error(PROBABILITIES, LABELS) == pytest.approx((0.1 + 0.8 + 0.3 + 0.45) / 4)
    # in one bin the errors of confidence cancel
    assert expected_calibration_error(PROBABILITIES, LABELS, bins=1) == pytest.approx(abs(0.75 - 2.95 / 4))


def test_a_calibrated_model_has_almost_no_calibration_error_and_a_boaster_has_his_boast():
    generator = np.random.default_rng(0)
    top = generator.uniform(0.5, 1, 200_000)
    labels = (generator.random(200_000) > top).astype(np.int64)
    assert expected_calibration_error(np.stack([top, 1 - top], axis=1), labels) < 0.004
    bold = np.tile([0.99, 0.01], (200_000, 1))
    assert expected_calibration_error(bold, labels) == pytest.approx(0.99 - 0.75, abs=0.005)


def test_every_row_falls_into_one_bin_and_edges_belong_to_the_lower_one():
    confidences = np.array([0.0, 1e-9, 0.2, 0.4, 0.5, 0.50001, 1.0])
    bins = calibration_bins(confidences[:, None], np.zeros(7, np.int64), bins=2)
    assert [cell.rows for cell in bins] == [5, 2]
    assert (bins[0].low, bins[0].high, bins[1].high) == (0.0, 0.5, 1.0)


def test_confusion_counts_truth_by_decision():
    assert confusion(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), 3) == ((1, 1, 0), (0, 1, 1), (0, 0, 0))
