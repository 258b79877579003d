import numpy as np
import pytest

from noria.errors import UsageError
from noria.ml.decision import decide

EQUAL = (1.0 - np.eye(4)).tolist()


def test_with_equal_costs_the_most_probable_class_is_chosen():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), size=1000)
    assert (decide(probabilities, EQUAL) == probabilities.argmax(axis=1)).all()


def test_ties_go_to_the_lower_index_even_where_sums_round_differently():
    ties = np.array([[0.1, 0.3, 0.3, 0.3], [0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.35, 0.35]])
    for scale in (1.0, 1 / 3, 0.7):
        assert decide(ties * scale, EQUAL).tolist() == [1, 0, 2]
    shares = np.array([[0.9, 0.9, 0.3, 0.8, 0.7]])  # the plain sum of the others is lower for the second
    assert decide(shares / shares.sum(), (1.0 - np.eye(5)).tolist()).tolist() == [0]


def test_a_dear_error_moves_the_decision():
    costs = [[0.0, 1.0], [9.0, 0.0]]  # to overlook class 1 costs nine times a false alarm: threshold 0.1
    assert decide(np.array([[0.91, 0.09], [0.89, 0.11]]), costs).tolist() == [0, 1]


def test_the_choice_has_the_least_expected_cost():
    generator = np.random.default_rng(1)
    costs = generator.uniform(0.1, 5, (4, 4)) * (1 - np.eye(4))
    probabilities = generator.dirichlet(np.ones(4), size=500)
    expected = probabilities @ costs
    assert np.allclose(expected[np.arange(500), decide(probabilities, costs.tolist())], expected.min(axis=1))


@pytest.mark.parametrize(
    "costs",
    [
        [[0, 1], [1, 0]],
        [[0, 1, 1], [1, 0, 1], [1, 1]],
        [[1, 1, 1], [1, 0, 1], [1, 1, 0]],
        [[0, -1, 1], [1, 0, 1], [1, 1, 0]],
        [[0, float("nan"), 1], [1, 0, 1], [1, 1, 0]],
        [[0, 0, 0]] * 3,
    ],
)
def test_costs_that_are_no_cost_matrix_are_refused(costs):
    with pytest.raises(UsageError, match="cost matrix"):
        decide(np.full((2, 3), 1 / 3), costs)
