from dataclasses import replace

import msgspec
import pytest
from known_evidence import (
    BUNDLE,
    CHAMPION,
    DATASET,
    KNOWN_BAD,
    against,
    comparison,
    difference,
    good_evaluation,
    good_evidence,
    with_evaluation,
    with_slice,
)

from noria.errors import EvidenceError
from noria.gates.evidence import Subject
from noria.gates.judge import GATES, judge
from noria.gates.limits import Limits
from noria.gates.results import GateResult, Verdict
from noria.ml.scores import Interval

LIMITS = Limits()
CASES = [(name, bad) for name, evidence in KNOWN_BAD.items() for bad in evidence]


def neutral(gate):
    """The same gate, blind: it lets everything pass."""
    return lambda evidence, limits: replace(gate(evidence, limits), passed=True)


def test_a_good_candidate_passes_every_gate():
    verdict = judge(good_evidence(), LIMITS)
    assert verdict.passed
    assert verdict.refusals == ()
    assert (verdict.bundle, verdict.dataset, verdict.champion) == (BUNDLE, DATASET, CHAMPION)
    assert len({gate.name for gate in verdict.gates}) == len(GATES) == 13
    assert all(gate.figure and gate.limit and gate.reason for gate in verdict.gates)


def test_every_gate_has_a_known_bad_case():
    assert set(KNOWN_BAD) == {gate.__name__ for gate in GATES}


@pytest.mark.parametrize(("name", "bad"), CASES, ids=[name for name, _ in CASES])
def test_each_known_bad_case_is_refused_by_its_gate_and_by_no_other(name, bad):
    verdict = judge(bad, LIMITS)
    assert not verdict.passed
    assert len(verdict.refusals) == 1
    (gate,) = [gate for gate in GATES if gate.__name__ == name]
    assert verdict.refusals[0] == gate(bad, LIMITS)
    blind = tuple(neutral(one) if one is gate else one for one in GATES)
    assert judge(bad, LIMITS, gates=blind).passed


def test_a_verdict_can_be_written_and_read():
    verdict = judge(good_evidence(), LIMITS)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict, strict=True) == verdict
    assert all(isinstance(gate, GateResult) for gate in verdict.gates)


@pytest.mark.parametrize("piece", ["data", "evaluation", "serving", "parity"])
def test_missing_evidence_is_named_and_stops_the_judge(piece):
    with pytest.raises(EvidenceError, match=f"no evidence of {piece}"):
        judge(replace(good_evidence(), **{piece: None}), LIMITS)


@pytest.mark.parametrize("piece", ["data", "evaluation", "serving", "parity"])
def test_no_gate_lets_its_own_missing_evidence_pass(piece):
    lacking = replace(good_evidence(), **{piece: None})
    refused = 0
    for gate in GATES:
        try:
            gate(lacking, LIMITS)
        except EvidenceError:
            refused += 1
    assert refused >= 1


@pytest.mark.parametrize(
    ("piece", "field", "what"),
    [("serving", "bundle", "bundle"), ("parity", "bundle", "bundle"), ("data", "dataset", "dataset")],
)
def test_evidence_of_something_else_is_refused(piece, field, what):
    known = good_evidence()
    foreign = replace(known, **{piece: replace(getattr(known, piece), **{field: "e" * 64})})
    with pytest.raises(EvidenceError, match=f"{piece} evidence is of {what} eeee"):
        judge(foreign, LIMITS)


@pytest.mark.parametrize("field", ["bundle", "dataset", "champion"])
def test_evidence_that_speaks_of_another_subject_than_expected_is_refused(field):
    subject = Subject(bundle=BUNDLE, dataset=DATASET, champion=CHAMPION)
    assert judge(good_evidence(), LIMITS, expected=subject).passed
    with pytest.raises(EvidenceError, match=f"the evidence is of {field}"):
        judge(good_evidence(), LIMITS, expected=replace(subject, **{field: "e" * 64}))


def test_a_champion_that_appeared_since_the_evaluation_is_noticed():
    alone = {name: good_evaluation().comparisons[name] for name in ("rule", "no-skill")}
    first = with_evaluation(champion="", comparisons=alone)
    with pytest.raises(EvidenceError, match="is of champion nobody, but this decision is about champion ccc"):
        judge(first, LIMITS, expected=Subject(bundle=BUNDLE, dataset=DATASET, champion=CHAMPION))


@pytest.mark.parametrize("field", ["margin", "slice_margin", "confidence"])
def test_an_evaluation_made_for_other_limits_is_refused(field):
    with pytest.raises(EvidenceError, match=f"made for {field} 0.9, the limit is"):
        judge(with_evaluation(**{field: 0.9}), LIMITS)


@pytest.mark.parametrize("opponent", ["champion", "rule", "no-skill"])
def test_an_opponent_that_was_not_measured_is_named(opponent):
    left = {name: found for name, found in good_evaluation().comparisons.items() if name != opponent}
    with pytest.raises(EvidenceError, match=f"not with the {opponent}"):
        judge(with_evaluation(comparisons=left), LIMITS)


def test_without_gates_nothing_passes():
    with pytest.raises(EvidenceError, match="no gates"):
        judge(good_evidence(), LIMITS, gates=())


@pytest.mark.parametrize("difference", [0.02, -0.02])
def test_a_champion_that_learned_from_these_rows_is_told_and_judged_all_the_same(difference):
    known = against("champion", comparison(difference))
    told = replace(known, evaluation=replace(known.evaluation, champion_seen=4_000))
    name = "not worse than the champion"
    seen, unseen = (next(gate for gate in judge(one, LIMITS).gates if gate.name == name) for one in (told, known))
    assert seen.passed == unseen.passed == (difference > 0)
    assert seen.reason == f"{unseen.reason}, which learned from the time of 4,000 of these rows and has the advantage"


def test_the_first_candidate_has_no_champion_to_beat():
    alone = {name: good_evaluation().comparisons[name] for name in ("rule", "no-skill")}
    verdict = judge(with_evaluation(champion="", comparisons=alone), LIMITS)
    assert verdict.passed
    assert [gate.reason for gate in verdict.gates if gate.figure == "no champion"] == ["no champion yet"] * 2


def test_a_candidate_that_is_the_champion_passes_and_says_so():
    same = replace(comparison(0.0), whole=difference(0.0, lower=0.0))
    evidence = against("champion", same)
    evidence = replace(evidence, evaluation=replace(evidence.evaluation, champion=BUNDLE, margin=0.0))
    verdict = judge(evidence, Limits(margin=0.0))
    assert verdict.passed
    assert "is the champion already" in {gate.reason for gate in verdict.gates}


def test_a_champion_that_differs_from_itself_is_refused():
    evidence = replace(good_evidence(), evaluation=replace(good_evaluation(), champion=BUNDLE))
    (refusal,) = judge(evidence, LIMITS).refusals
    assert refusal.reason == "is the champion already, yet answered otherwise than itself"


def test_a_slice_that_may_be_low_by_chance_is_not_refused_for_it():
    low = Interval(value=-0.08, low=-0.2, high=0.1)
    assert judge(with_slice(interval=low, p_worse=0.06), LIMITS).passed
    (refusal,) = judge(with_slice(interval=low, p_worse=0.04), LIMITS).refusals
    assert refusal.reason.startswith("worse than the champion in early (-0.0800 in 400 rows, p = 0.0400)")


def test_where_errors_differ_in_cost_figures_say_what_is_saved():
    """Against the rule, 0.25 more accuracy that saves 0.4 of the dearest error."""
    found = {gate.name: gate.figure for gate in judge(against("rule", comparison(0.4)), LIMITS).gates}
    assert found["beats the rule"] == "saves +0.4000 of the dearest error, ≥ +0.3985"
    assert found["not worse than the champion"] == "saves +0.0100 of the dearest error, ≥ +0.0085"
    assert found["no slice worse"] == "worst: early saves +0.0100 (400 rows)"


def test_figures_are_written_for_people():
    gates = {gate.name: gate for gate in judge(good_evidence(), LIMITS).gates}
    assert gates["not worse than the champion"].figure == "+0.0100 accuracy, ≥ +0.0085"
    assert gates["no slice worse"].figure == "worst: early +0.0100 accuracy (400 rows)"
    assert gates["not worse than the champion"].limit == "above -0.0050"
    assert gates["calibrated"].figure == "0.0100 [0.000, 0.020]"
    assert gates["answers in time"].figure == "p50 1.0 ms, p95 2.0 ms"
    assert gates["serves without errors"].figure == "0 errors in 1,200 requests"
    assert gates["bears the load"].figure == "1,432.5 rows/s in 1,000 requests"
    assert gates["bears the load"].limit == "at least 100 rows/s in 100 requests or more"
    assert gates["fits into memory"].figure == "98.4 MiB resident"
    assert gates["fits into memory"].limit == "at most 1,024 MiB"
    assert gates["no slice worse"].reason == "none of 2 slices is worse; not judged, for they have too few rows: rare"
