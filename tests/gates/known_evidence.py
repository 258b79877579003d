"""Evidence of a good candidate, and for each gate evidence that is bad in what this gate alone looks at."""

from dataclasses import replace

from noria.gates.evidence import DataEvidence, Evidence, ParityEvidence, ServingEvidence
from noria.ml.scores import Comparison, Difference, Evaluation, Interval, Scores

BUNDLE, DATASET, CHAMPION = "b" * 64, "d" * 64, "c" * 64


def difference(value, rows=10_000, *, lower=None, p_worse=0.9):
    spread = Interval(value=value, low=value - 0.002, high=value + 0.002)
    return Difference(interval=spread, lower=value - 0.0015 if lower is None else lower, p_worse=p_worse, rows=rows)


def comparison(value):
    return Comparison(whole=difference(value), slices={"early": difference(value, 400), "late": difference(value, 600)})


def scores(accuracy, ece=0.01):
    figure = Interval(value=accuracy, low=accuracy - 0.005, high=accuracy + 0.005)
    return Scores(
        accuracy=figure,
        cost=figure,
        log_loss=figure,
        ece=Interval(value=ece, low=0.0, high=2 * ece),
        classes={},
        slices={"early": figure, "late": figure},
    )


def good_evaluation():
    return Evaluation(
        bundle=BUNDLE,
        dataset=DATASET,
        champion=CHAMPION,
        rows=10_000,
        draws=2000,
        confidence=0.95,
        margin=0.005,
        slice_margin=0.03,
        scores={"candidate": scores(0.93), "champion": scores(0.92), "rule": scores(0.68), "no-skill": scores(0.1)},
        comparisons={"champion": comparison(0.01), "rule": comparison(0.25), "no-skill": comparison(0.83)},
        slice_rows={"early": 400, "late": 600, "rare": 3},
        classes=("a", "b"),
        confusion=((1, 0), (0, 1)),
        calibration=(),
        most_wrong=(),
    )


def good_evidence():
    return Evidence(
        data=DataEvidence(dataset=DATASET, rows=70_000, violations=0, notices=1),
        evaluation=good_evaluation(),
        serving=ServingEvidence(
            bundle=BUNDLE,
            requests=200,
            wrong=0,
            max_difference=1e-7,
            p50_ms=1.0,
            p95_ms=2.0,
            errors=0,
            load_requests=1000,
            rows_per_second=1432.5,
            memory_mib=98.4,
        ),
        parity=ParityEvidence(bundle=BUNDLE, rows=1000, max_difference=2e-6),
    )


def with_data(**changes):
    return replace(good_evidence(), data=replace(good_evidence().data, **changes))


def with_evaluation(**changes):
    return replace(good_evidence(), evaluation=replace(good_evaluation(), **changes))


def with_serving(**changes):
    return replace(good_evidence(), serving=replace(good_evidence().serving, **changes))


def with_parity(**changes):
    return replace(good_evidence(), parity=replace(good_evidence().parity, **changes))


def against(opponent, found):
    return with_evaluation(comparisons={**good_evaluation().comparisons, opponent: found})


def with_whole(opponent, **changes):
    known = good_evaluation().comparisons[opponent]
    return against(opponent, replace(known, whole=replace(known.whole, **changes)))


def with_slice(**changes):
    known = good_evaluation().comparisons["champion"]
    return against(
        "champion", replace(known, slices={**known.slices, "early": replace(known.slices["early"], **changes)})
    )


def with_ece(value):
    return with_evaluation(scores={**good_evaluation().scores, "candidate": scores(0.93, value)})


NAN, INFINITE = float("nan"), float("inf")

# gate's function -> evidence that it has to refuse, and that every other gate lets pass
KNOWN_BAD = {
    "data_are_clean": [with_data(violations=1), with_data(rows=0)],
    "rows_are_enough": [with_evaluation(rows=199), with_evaluation(draws=999)],
    "beats_no_skill": [with_whole("no-skill", lower=0.0), with_whole("no-skill", lower=NAN)],
    "beats_rule": [with_whole("rule", lower=-0.0001), with_whole("rule", lower=NAN), with_whole("rule", lower=0.0)],
    "not_worse_than_champion": [
        with_whole("champion", lower=-0.005),
        with_whole("champion", lower=-0.0051),
        with_whole("champion", lower=NAN),
    ],
    "no_slice_worse": [
        with_slice(p_worse=0.01),
        with_slice(p_worse=NAN),
        with_slice(interval=Interval(value=-0.0601, low=-0.1, high=0.1), p_worse=0.04),
        with_slice(interval=Interval(value=NAN, low=NAN, high=NAN)),
        with_slice(rows=3),
        against("champion", replace(comparison(0.01), slices={"early": difference(0.01, 400)})),
    ],
    "is_calibrated": [with_ece(0.0301), with_ece(NAN)],
    "export_is_faithful": [with_parity(max_difference=1.01e-4), with_parity(max_difference=NAN), with_parity(rows=99)],
    "answers_are_equal": [with_serving(wrong=1), with_serving(max_difference=2e-5), with_serving(max_difference=NAN)],
    "answers_all": [with_serving(errors=1), with_serving(requests=99), with_serving(requests=0)],
    "answers_in_time": [with_serving(p95_ms=50.1), with_serving(p95_ms=NAN)],
    "bears_load": [
        *(with_serving(rows_per_second=value) for value in (99.9, 0.0, -1.0, None, NAN, INFINITE)),
        with_serving(load_requests=99),
        with_serving(load_requests=0),
    ],
    "fits_into_memory": [with_serving(memory_mib=value) for value in (1024.1, 0.0, -1.0, None, NAN, INFINITE)],
}
