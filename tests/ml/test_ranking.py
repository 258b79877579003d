"""Ranking: the figures of two classes are those of their definitions, pair by pair and threshold by threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.ml.contenders import check_contenders
from noria.ml.evaluation import evaluate
from noria.ml.metrics import expected_calibration_error, log_loss
from noria.ml.ranking import Part, rank
from noria.ml.scores import Scores

COSTS = 1.0 - np.eye(2)
ROWS = 400


def contenders_of(late, labels):
    """The same probabilities, by everyone."""
    shares = np.stack([1 - np.asarray(late), late], axis=1)
    names = ("candidate", "rule", "no-skill")
    return check_contenders(dict.fromkeys(names, shares), champion="", labels=labels, costs=COSTS)


def auc_by_pairs(scores, labels):
    pairs = [(high > low) + (high == low) / 2 for high in scores[labels == 1] for low in scores[labels == 0]]
    return sum(pairs) / len(pairs)


def precision_by_thresholds(scores, labels):
    found, reached = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        named = scores >= threshold
        recall = (labels[named] == 1).sum() / (labels == 1).sum()
        found += (recall - reached) * (labels[named] == 1).mean()
        reached = recall
    return found


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), min_size=2, max_size=40))
def test_each_draw_is_measured_as_its_rows_would_be_one_by_one(rows):
    scores, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    scores, labels = scores / 6, labels.astype(np.int64)
    drawn = np.repeat(np.arange(len(rows)), weights)
    part = Part.of(contenders_of(scores, labels)["candidate"], labels, np.arange(len(rows)))
    auc, precision, loss, ece = part.measure(weights[None])[0]
    some, truth = scores[drawn], labels[drawn]
    if not len(drawn):
        assert np.isnan([auc, precision, loss, ece]).all()
        return
    shares = np.stack([1 - some, some], axis=1)
    assert loss == pytest.approx(log_loss(shares, truth))
    assert ece == pytest.approx(expected_calibration_error(shares, truth))
    assert np.isnan(precision) == (not truth.any())
    assert np.isnan(auc) == (len(set(truth)) < 2)
    if truth.any():
        assert precision == pytest.approx(precision_by_thresholds(some, truth))
    if len(set(truth)) == 2:
        assert auc == pytest.approx(auc_by_pairs(some, truth))


def scores_of(seed=1):
    """A rare second class, and probabilities that know something of it."""
    draw = np.random.default_rng(seed)
    labels = (draw.random(ROWS) < 0.1).astype(np.int64)
    return labels, 1 / (1 + np.exp(2.5 - 2 * labels - draw.normal(size=ROWS)))


def test_a_part_is_measured_on_its_own_rows_alone():
    labels, late = scores_of()
    even = np.arange(ROWS) % 2 == 0
    found = rank(contenders_of(late, labels), labels, {"even": even}, draws=50, seed=1, confidence=0.9)
    scores = found["candidate"]["even"]
    assert (scores.rows, scores.positives) == (ROWS // 2, labels[even].sum())
    assert scores.auc.value == pytest.approx(auc_by_pairs(late[even], labels[even]), abs=1e-8)
    assert scores.average_precision.value == pytest.approx(precision_by_thresholds(late[even], labels[even]), abs=1e-8)


def test_the_interval_is_that_of_draws_made_by_hand():
    labels, late = scores_of()
    found = rank(contenders_of(late, labels), labels, {"": labels >= 0}, draws=200, seed=3, confidence=0.9)
    picks = np.random.default_rng(3).integers(ROWS, size=(200, ROWS))
    by_hand = [auc_by_pairs(late[pick], labels[pick]) for pick in picks]
    figure = found["rule"][""].auc
    assert [figure.low, figure.high] == pytest.approx(np.quantile(by_hand, [0.05, 0.95]).tolist(), abs=1e-8)


def test_rows_of_one_class_have_no_auc_and_still_a_log_loss():
    labels, late = scores_of()
    found = rank(contenders_of(late, labels), labels, {"on time": labels == 0}, draws=20, seed=1, confidence=0.9)
    scores = found["candidate"]["on time"]
    assert (scores.auc, scores.average_precision, scores.positives) == (None, None, 0)
    assert scores.log_loss.low < scores.log_loss.value < scores.log_loss.high


def evaluate_two(classes=2):
    labels, late = scores_of()
    shares = np.stack([1 - late, late, *[np.zeros(ROWS)] * (classes - 2)], axis=1)
    names = tuple("abc"[:classes])
    return evaluate(
        bundle="b" * 64, dataset="d" * 64, champion="", labels=labels, ids=np.arange(ROWS),
        probabilities=dict.fromkeys(("candidate", "rule", "no-skill"), shares), classes=names,
        costs=(1.0 - np.eye(classes)).tolist(), draws=60, confidence=0.95, margin=0.01, slice_margin=0.03, seed=5,
        slices={"first": np.arange(ROWS) < 150, "none": np.zeros(ROWS, bool)},
    )  # fmt: skip


def test_an_evaluation_of_two_classes_says_it_of_everyone_and_by_slice():
    for scores in evaluate_two().scores.values():
        assert scores.ranking is not None
        assert scores.ranking.log_loss == scores.log_loss
        assert scores.ranking.ece == scores.ece
        assert 0.5 < scores.ranking.auc.low < scores.ranking.auc.value < scores.ranking.auc.high < 1
        assert list(scores.ranking_slices) == ["first"]
        assert scores.ranking_slices["first"].rows == 150


def test_an_evaluation_of_more_classes_says_nothing_of_it():
    scores: Scores
    for scores in evaluate_two(3).scores.values():
        assert (scores.ranking, scores.ranking_slices) == (None, {})
