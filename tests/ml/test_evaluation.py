import msgspec
import numpy as np
import pytest

from noria.errors import EvidenceError
from noria.ml.evaluation import MOST_WRONG, evaluate
from noria.ml.metrics import accuracy, expected_calibration_error, log_loss
from noria.ml.scores import Evaluation

CLASSES = ("cat", "dog", "owl")
ROWS = 600


def contender(labels, share, seed, confidence=0.8):
    """Probabilities whose most probable class is right in about the share of rows."""
    generator = np.random.default_rng(seed)
    chosen = np.where(
        generator.random(len(labels)) < share, labels, (labels + generator.integers(1, 3, len(labels))) % 3
    )
    given = np.full((len(labels), 3), (1 - confidence) / 2)
    given[np.arange(len(labels)), chosen] = confidence
    return given


def inputs(**changes):
    labels = np.arange(ROWS) % 3
    given = {
        "bundle": "b" * 64,
        "dataset": "d" * 64,
        "champion": "c" * 64,
        "labels": labels,
        "ids": np.array([f"item-{row}" for row in range(ROWS)], dtype=object),
        "probabilities": {
            "candidate": contender(labels, 0.9, 1),
            "champion": contender(labels, 0.8, 2),
            "rule": contender(labels, 0.6, 3),
            "no-skill": np.full((ROWS, 3), 1 / 3),
        },
        "costs": (1.0 - np.eye(3)).tolist(),
        "classes": CLASSES,
        "slices": {"early": np.arange(ROWS) < 200, "late": np.arange(ROWS) >= 200, "never": np.zeros(ROWS, bool)},
        "draws": 500,
        "confidence": 0.95,
        "margin": 0.005,
        "slice_margin": 0.03,
        "seed": 0,
    }
    return given | changes


def test_figures_are_those_of_the_plain_formulas():
    given = inputs()
    found = evaluate(**given)
    candidate, labels = given["probabilities"]["candidate"], given["labels"]
    scores = found.scores["candidate"]
    assert scores.accuracy.value == pytest.approx(accuracy(candidate, labels))
    assert scores.cost.value == pytest.approx(1 - accuracy(candidate, labels))
    assert scores.log_loss.value == pytest.approx(log_loss(candidate, labels))
    assert scores.ece.value == pytest.approx(expected_calibration_error(candidate, labels))
    assert scores.classes["dog"].value == pytest.approx(accuracy(candidate[labels == 1], labels[labels == 1]))
    assert scores.slices["early"].value == pytest.approx(accuracy(candidate[:200], labels[:200]))
    for figure in (scores.accuracy, scores.log_loss, scores.ece, *scores.classes.values(), *scores.slices.values()):
        assert figure.low < figure.value < figure.high
    assert sum(map(sum, found.confusion)) == ROWS
    assert found.slice_rows == {"early": 200, "late": 400, "never": 0}
    assert "never" not in scores.slices


def test_comparisons_are_paired_and_cover_every_opponent():
    found = evaluate(**inputs())
    gap = found.comparisons["champion"].whole
    assert set(found.comparisons) == {"champion", "rule", "no-skill"}
    assert gap.interval.value == pytest.approx(
        found.scores["candidate"].accuracy.value - found.scores["champion"].accuracy.value
    )
    assert gap.interval.low < gap.lower < gap.interval.value < gap.interval.high
    assert gap.interval.value - gap.interval.low == pytest.approx(gap.interval.high - gap.interval.value, rel=0.3)
    assert found.comparisons["champion"].slices["late"].rows == 400
    alone = inputs()
    alone["probabilities"]["champion"] = alone["probabilities"]["candidate"]
    same = evaluate(**alone).comparisons["champion"].whole
    assert (same.interval.value, same.interval.low, same.lower, same.p_worse) == (0.0, 0.0, 0.0, 1.0)


def test_the_whole_is_held_to_the_margin_and_a_slice_to_its_own():
    given = inputs(margin=0.0, slice_margin=0.99)
    given["probabilities"]["candidate"], given["probabilities"]["champion"] = (
        given["probabilities"]["rule"],
        given["probabilities"]["candidate"],
    )
    found = evaluate(**given).comparisons["champion"]
    assert found.whole.p_worse < 0.01
    assert found.slices["late"].p_worse == 1.0


def test_without_a_champion_there_is_no_comparison_with_one():
    given = inputs(champion="")
    del given["probabilities"]["champion"]
    assert set(evaluate(**given).comparisons) == {"rule", "no-skill"}


def test_a_dear_error_counts_as_its_cost():
    labels = np.array([0, 1] * 100)
    costs = [[0.0, 1.0], [4.0, 0.0]]
    cautious, bold = np.tile([0.7, 0.3], (200, 1)), np.tile([0.9, 0.1], (200, 1))
    found = evaluate(
        **inputs(
            champion="",
            labels=labels,
            ids=np.arange(200),
            probabilities={"candidate": cautious, "rule": bold, "no-skill": bold},
            costs=costs,
            classes=("no", "yes"),
            slices={"all": np.ones(200, bool)},
        )
    )
    # the candidate always says yes (0.3 * 4 > 0.7), the rule always no: equal accuracy, a quarter of the cost
    assert found.scores["candidate"].accuracy.value == found.scores["rule"].accuracy.value == 0.5
    assert (found.scores["candidate"].cost.value, found.scores["rule"].cost.value) == (0.5, 2.0)
    assert found.comparisons["rule"].whole.interval.value == pytest.approx(1.5 / 4.0)
    assert found.comparisons["rule"].slices["all"].interval.value == pytest.approx(1.5 / 4.0)


def test_the_most_wrong_items_are_the_most_confident_errors():
    given = inputs()
    given["probabilities"]["candidate"][7] = [0.005, 0.99, 0.005] if given["labels"][7] != 1 else [0.99, 0.005, 0.005]
    found = evaluate(**given)
    assert found.most_wrong[0].id == "item-7"
    assert found.most_wrong[0].truth == CLASSES[given["labels"][7]] != found.most_wrong[0].decision
    assert len(found.most_wrong) == MOST_WRONG
    assert sorted((-item.confidence, item.row) for item in found.most_wrong) == [
        (-item.confidence, item.row) for item in found.most_wrong
    ]


def test_equal_inputs_give_equal_bytes_that_read_back():
    first, second = (msgspec.json.encode(evaluate(**inputs()), order="deterministic") for _ in range(2))
    assert first == second
    assert msgspec.json.decode(first, type=Evaluation, strict=True) == evaluate(**inputs())


@pytest.mark.parametrize("who", ["candidate", "champion", "rule"])
@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ([np.nan, 0.5, 0.5], "not finite in 2 of 600 rows"),
        ([np.inf, 0.0, 0.0], "not finite in 2"),
        ([-np.inf, np.inf, 1.0], "not finite in 2"),
        ([1.2, -0.2, 0.0], "negative in 2"),
        ([0.5, 0.5, 0.01], "not of sum 1 in 2"),
        ([0.0, 0.0, 0.0], "not of sum 1 in 2"),
    ],
)
def test_what_is_no_probability_is_refused_by_name_and_count(who, bad, what):
    given = inputs()
    given["probabilities"][who][[3, 9]] = bad
    with pytest.raises(EvidenceError, match=rf"the {who} gave probabilities that are {what}.*row 3"):
        evaluate(**given)


def test_rounding_of_float32_is_not_mistaken_for_a_wrong_sum():
    given = inputs()
    given["probabilities"] = {name: value.astype(np.float32) for name, value in given["probabilities"].items()}
    assert evaluate(**given).rows == ROWS


def test_rows_that_do_not_fit_together_are_refused():
    short = inputs()
    short["probabilities"]["rule"] = short["probabilities"]["rule"][:-1]
    missing = inputs()
    del missing["probabilities"]["rule"]
    stranger = inputs(champion="")
    empty = inputs(labels=np.empty(0, np.int64))
    for given, message in (
        (short, r"the rule gave probabilities of shape \[599, 3\]: expected \[600, 3\]"),
        (missing, "expected candidate, champion, no-skill, rule"),
        (stranger, "expected candidate, no-skill, rule; the champion is nobody"),
        (empty, "no held-out rows"),
        (inputs(ids=np.arange(5)), r"ids has shape \[5\]"),
        (inputs(slices={"odd": np.ones(4, bool)}), r"slice 'odd' has shape \[4\]"),
        (inputs(labels=np.full(ROWS, 3)), "600 of 600 held-out labels are outside"),
    ):
        with pytest.raises(EvidenceError, match=message):
            evaluate(**given)
