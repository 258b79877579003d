"""The gates' error rates, found by evaluating many simulated pairs of models whose truth is known."""

from math import comb

import numpy as np
import pytest

from noria.gates.champion import not_worse_than_champion
from noria.gates.evidence import Evidence
from noria.gates.limits import Limits
from noria.gates.slices import no_slice_worse
from noria.ml.evaluation import evaluate

RUNS, ROWS, SLICES = 200, 1000, 5
ALPHA = 0.05
MASKS = {f"group {place}": np.arange(ROWS) % SLICES == place for place in range(SLICES)}


def probabilities_of(labels, right):
    given = np.full((ROWS, 2), 0.1)
    given[np.arange(ROWS), np.where(right, labels, 1 - labels)] = 0.9
    return given


def evidence_of(seed, *, gain=0.0, bad_slice=0.0, margin=0.0, slices=None):
    """A champion of accuracy 0.85 and a candidate that mends some errors and makes new ones: `gain` in the mean."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=ROWS)
    champion = generator.random(ROWS) < 0.85
    lose = 0.05 + bad_slice * MASKS["group 3"]
    win = (gain + 0.05 * 0.85) / 0.15
    candidate = np.where(champion, generator.random(ROWS) >= lose, generator.random(ROWS) < win)
    contenders = {"candidate": candidate, "champion": champion, "rule": ~champion, "no-skill": ~champion}
    evaluation = evaluate(
        bundle="b",
        dataset="d",
        champion="c",
        labels=labels,
        ids=np.arange(ROWS),
        probabilities={name: probabilities_of(labels, right) for name, right in contenders.items()},
        costs=[[0, 1], [1, 0]],
        classes=("no", "yes"),
        slices=slices or {},
        draws=300,
        confidence=1 - ALPHA,
        margin=margin,
        slice_margin=0.03,
        seed=seed,
    )
    return Evidence(data=None, evaluation=evaluation, serving=None, parity=None)


def most_by_chance(share):
    """The count that RUNS trials of probability `share` exceed once in a thousand times."""
    total = 0.0
    for count in range(RUNS + 1):
        total += comb(RUNS, count) * share**count * (1 - share) ** (RUNS - count)
        if total > 0.999:
            return count
    return RUNS


@pytest.fixture(scope="module")
def equal_models():
    return [evidence_of(seed, slices=MASKS) for seed in range(RUNS)]


def test_with_margin_zero_an_equal_model_is_promoted_no_more_often_than_alpha(equal_models):
    promoted = sum(not_worse_than_champion(evidence, Limits(margin=0.0)).passed for evidence in equal_models)
    assert 0 < promoted <= most_by_chance(ALPHA)


def test_a_model_that_is_worse_by_the_margin_is_promoted_no_more_often_than_alpha():
    limits = Limits(margin=0.02)
    worse = (evidence_of(seed, gain=-0.02, margin=0.02) for seed in range(1000, 1000 + RUNS))
    assert 0 < sum(not_worse_than_champion(evidence, limits).passed for evidence in worse) <= most_by_chance(ALPHA)


def test_a_gain_of_three_points_is_promoted_in_four_of_five_runs():
    better = (evidence_of(seed, gain=0.03) for seed in range(2000, 2000 + RUNS))
    assert sum(not_worse_than_champion(evidence, Limits(margin=0.0)).passed for evidence in better) >= 0.8 * RUNS


def test_equal_models_are_rarely_refused_for_a_slice(equal_models):
    assert sum(not no_slice_worse(evidence, Limits()).passed for evidence in equal_models) <= most_by_chance(ALPHA)


def test_a_slice_that_got_worse_is_refused_by_name_while_the_whole_improves():
    caught = 0
    for seed in range(3000, 3000 + RUNS // 2):
        evidence = evidence_of(seed, gain=0.1, bad_slice=0.4, slices=MASKS)
        whole = evidence.evaluation.comparisons["champion"].whole.interval.value
        found = no_slice_worse(evidence, Limits())
        caught += whole > 0 and not found.passed and "group 3 (" in found.reason
    assert caught >= 0.9 * RUNS / 2
