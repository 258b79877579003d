from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
import pytest

from noria.errors import UsageError
from noria.ml.findings import EXAMPLES, MASKED, Findings
from noria.ml.validation import ValidationRules, validate
from noria.schema import Column, Schema
from noria.task import Window

SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="at", type="timestamp", role="time"),
        Column(name="image", type="uint8", role="feature", shape=(4, 4), minimum=0, maximum=255),
        Column(
            name="speed", type="float32", role="feature", unit="m/s", minimum=0, maximum=0.1, maximum_null_share=0.1
        ),
        Column(name="income", type="float64", role="owner", minimum=0, personal="sensitive"),
        Column(name="kind", type="int64", role="label"),
    )
)
COUNT = 2000
WINDOW = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 2, 1, tzinfo=UTC))
RULES = ValidationRules()


def clean():
    generator = np.random.default_rng(0)
    speed = generator.uniform(0, 0.1, COUNT).astype(np.float32)
    speed[:2] = np.nan, np.float32(0.1)  # a null within its share, and a bound that float32 rounds up
    return {
        "id": np.array([f"r{row}" for row in range(COUNT)], dtype=object),
        "at": np.datetime64("2026-01-01", "us") + np.arange(COUNT).astype("timedelta64[m]"),
        "image": generator.integers(0, 256, (COUNT, 4, 4), dtype=np.uint8),
        "speed": speed,
        "income": generator.uniform(0, 9, COUNT),
        "kind": np.arange(COUNT) % 3,
    }


def check(rows, **changes):
    given = {
        "schema": SCHEMA,
        "classes": ("a", "b", "c"),
        "rules": RULES,
        "window": WINDOW,
        "training": np.arange(1500),
        "holdout": np.arange(1500, COUNT),
    }
    return validate(rows, **(given | changes))


def test_clean_data_have_no_findings():
    assert check(clean()) == Findings(rows=COUNT, findings=())


def break_id(rows):
    rows["id"][[5, 9]] = rows["id"][4]


def break_time_order(rows):
    rows["at"][[5, 9]] = rows["at"][[4, 7]] - np.timedelta64(1, "m")


def break_window(rows):
    rows["at"][-2:] = np.datetime64("2026-02-01", "us")


def break_label(rows):
    rows["kind"][[5, 9]] = [-1, 3]


def break_range(rows):
    rows["speed"][[5, 9]] = [-0.001, 0.2]


def break_nonfinite(rows):
    rows["speed"][[5, 9]] = [np.inf, -np.inf]


def break_nulls(rows):
    rows["income"][[5, 9]] = np.nan


def break_id_nulls(rows):
    rows["id"][[5, 9]] = None


def break_time_nulls(rows):
    rows["at"][[5, 9]] = np.datetime64("NaT")


def plant_leak(rows):
    for name in ("image", "speed"):
        rows[name][100:105] = rows[name][1600:1605]  # 1 % of the 500 held-out rows


def plant_duplicates(rows):
    for name in ("image", "speed"):
        rows[name][100:120] = rows[name][200:220]  # 1 % of all rows


BREAKS = [
    (break_id, "duplicate-id", "id", [5, 9]),
    (break_time_order, "time-order", "at", [5, 9]),
    (break_window, "window", "at", [COUNT - 2, COUNT - 1]),
    (break_label, "label-class", "kind", [5, 9]),
    (break_range, "range", "speed", [5, 9]),
    (break_nonfinite, "non-finite", "speed", [5, 9]),
    (break_nulls, "nulls", "income", [5, 9]),
    (break_id_nulls, "nulls", "id", [5, 9]),
    (break_time_nulls, "nulls", "at", [5, 9]),
    (plant_leak, "leakage", "", list(range(100, 105))),
    (plant_duplicates, "duplicate-content", "", list(range(200, 220))),
]


@pytest.mark.parametrize(("spoil", "rule", "column", "places"), BREAKS, ids=[case[0].__name__ for case in BREAKS])
def test_each_broken_rule_is_found_at_its_rows_and_no_other_rule_is(spoil, rule, column, places):
    rows = clean()
    spoil(rows)
    (found,) = check(rows).violations
    assert (found.rule, found.column, found.rows) == (rule, column, len(places))
    assert [example.row for example in found.examples] == places
    if rule != "nulls":
        assert [example.id for example in found.examples] == [rows["id"][place] for place in places]


def test_a_finding_shows_value_time_and_what_was_expected():
    rows = clean()
    break_range(rows)
    (found,) = check(rows).findings
    assert found.examples[0].value == "-0.001"
    assert found.examples[0].time == "2026-01-01T00:05:00.000000"
    assert (found.found, found.expected) == ("2 rows out of range", "0 to 0.1 m/s")


def test_only_the_first_hundred_rows_are_shown_but_all_are_counted():
    rows = clean()
    rows["speed"][:500] = 5.0
    (found,) = check(rows).violations
    assert (found.rows, len(found.examples), found.examples[-1].row) == (500, EXAMPLES, 99)


def test_personal_values_are_masked():
    rows = clean()
    rows["income"][5] = -4711.0
    schema = Schema(
        columns=tuple(
            replace(column, personal="pseudonymous") if column.role == "id" else column for column in SCHEMA.columns
        )
    )
    found = check(rows, schema=schema)
    assert (found.violations[0].examples[0].value, found.violations[0].examples[0].id) == (MASKED, MASKED)
    assert b"4711" not in msgspec.json.encode(found)


def test_a_few_duplicates_or_leaks_are_a_notice():
    rows = clean()
    for name in ("image", "speed"):
        rows[name][100] = rows[name][1600]
    found = check(rows, rules=ValidationRules(maximum_leakage_share=0.002))
    assert found.violations == ()
    assert [(notice.rule, notice.rows) for notice in found.notices] == [("duplicate-content", 1), ("leakage", 1)]
    assert "1 training rows with the features of 1 held-out rows (0.200%)" in found.notices[1].found


def test_one_held_out_row_many_times_in_training_is_a_leak():
    rows = clean()
    for name in ("image", "speed"):
        rows[name][100:130] = rows[name][1600]
    found = check(rows, rules=ValidationRules(maximum_leakage_share=0.01, maximum_duplicate_share=1.0))
    assert [violation.rule for violation in found.violations] == ["leakage"]


@pytest.mark.parametrize(
    ("change", "column", "found", "expected"),
    [
        ({"image": None}, "image", "no such column", "a column of uint8 [4, 4]"),
        ({"more": np.zeros(COUNT)}, "more", "unknown column", "no column 'more'"),
        ({"speed": np.zeros(COUNT)}, "speed", "type float64", "type float32 (float32)"),
        ({"image": np.zeros((COUNT, 4, 5), np.uint8)}, "image", "values of shape [4, 5]", "shape [4, 4]"),
        ({"kind": np.zeros(COUNT - 1, np.int64)}, "kind", "1,999 values or another number of null marks", "2,000"),
        ({"at": np.zeros(COUNT, "datetime64[s]")}, "at", "type datetime64[s]", "type datetime64[us] (timestamp)"),
        ({"id": np.full(COUNT, 5, dtype=object)}, "id", "values of type int", "strings"),
    ],
)
def test_a_column_that_does_not_fit_its_schema_is_found_and_stops_no_other_check(change, column, found, expected):
    rows = {name: values for name, values in (clean() | change).items() if values is not None}
    if column != "income":
        break_nulls(rows)
    violations = {(finding.rule, finding.column): finding for finding in check(rows).violations}
    assert violations["schema", column].found == found
    assert violations["schema", column].expected.startswith(expected)
    assert ("nulls", "income") in violations


def test_marked_nulls_of_integers_count_as_nulls():
    marks = np.zeros(COUNT, bool)
    marks[:3] = True
    (found,) = check(clean(), nulls={"kind": marks}).violations
    assert (found.rule, found.column, found.rows) == ("nulls", "kind", 3)


def test_a_class_that_is_rare_or_missing_in_training_is_found():
    rows = clean()
    rows["kind"][:1500][rows["kind"][:1500] == 2] = 0
    rows["kind"][:4] = 2
    (rare,) = check(rows).violations
    assert rare.found == "class 'c' in 4 of 1,500 training rows (0.267%)"
    rows["kind"][:4] = 0
    (missing,) = check(rows, rules=ValidationRules(min_class_share=0.0)).violations
    assert "class 'c' in 0 of 1,500" in missing.found


def test_too_few_rows_and_empty_parts_are_found():
    rows = {name: values[:50] for name, values in clean().items()}
    nothing = np.empty(0, np.int64)
    found = check(rows, training=np.arange(50), holdout=nothing)
    assert {violation.rule for violation in found.violations} >= {"min-rows", "empty-holdout"}
    none = {name: values[:0] for name, values in rows.items()}
    found = check(none, training=nothing, holdout=nothing)
    assert {violation.rule for violation in found.violations} == {"min-rows", "empty-holdout", "empty-training"}
    assert {violation.rule for violation in check({}, training=nothing, holdout=nothing).violations} > {"schema"}


def test_the_window_is_compared_in_utc():
    west = timezone(timedelta(hours=-5))
    late = Window(start=datetime(2026, 1, 1, tzinfo=west), end=WINDOW.end)
    (found,) = check(clean(), window=late).violations
    assert (found.rule, found.rows) == ("window", 300)
    assert check(clean(), window=None).findings == ()


def test_findings_can_be_written_and_read():
    rows = clean()
    break_range(rows)
    found = check(rows)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Findings, strict=True) == found


def test_a_share_that_is_none_is_refused():
    with pytest.raises(UsageError, match=r"maximum_leakage_share is 1\.5"):
        ValidationRules(maximum_leakage_share=1.5)


TIMED = Schema(columns=(*SCHEMA.columns, Column(name="told", type="timestamp", role="known")))


def timed():
    rows = clean()
    return rows | {"told": rows["at"] + np.timedelta64(60_000_000, "us")}


def test_labels_that_became_known_between_the_question_and_the_moment_of_training_are_clean():
    as_of = datetime(2026, 2, 1, tzinfo=UTC)
    assert check(timed(), schema=TIMED, as_of=as_of).violations == ()
    assert check(timed(), schema=TIMED).violations == ()


def test_a_label_that_was_known_when_the_question_was_asked_is_named():
    rows = timed()
    rows["told"][7] = rows["at"][7]
    (found,) = check(rows, schema=TIMED).violations
    assert (found.rule, found.column, [example.row for example in found.examples]) == ("known-early", "told", [7])


def test_a_label_that_became_known_later_than_training_may_know_is_named():
    rows = timed()
    east = timezone(timedelta(hours=2))
    as_of = datetime(2026, 1, 1, 2, tzinfo=east) + timedelta(minutes=COUNT - 1)  # before the last two labels
    (found,) = check(rows, schema=TIMED, as_of=as_of).violations
    assert (found.rule, [example.row for example in found.examples]) == ("known-late", [COUNT - 1])


def test_a_feature_that_tells_the_label_alone_is_named_and_its_limit_can_be_moved():
    rows = clean()
    rows["speed"] = (rows["kind"] / 30).astype(np.float32)
    (found,) = check(rows).violations
    assert (found.rule, found.column) == ("disguise", "speed")
    assert found.found == "alone it tells the label with an AUC of 1.000"
    assert check(rows, rules=ValidationRules(maximum_feature_auc=1.0)).violations == ()
