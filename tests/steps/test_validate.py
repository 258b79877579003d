"""Validate as a step: every row that breaks a rule is in the report, whatever else is wrong with the data."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noria.errors import ValidationError
from noria.ml.dataset import table_of, write_dataset
from noria.settings import Settings
from noria.steps.validate import Validated, validate
from noria.steps.workspace import Workspace
from noria.task import Window, load_task
from noria.tasks.fashion_statistics import describe_pictures

WINDOW = Window(start=datetime(2017, 9, 1, tzinfo=UTC), end=datetime(2017, 9, 11, tzinfo=UTC))
ROWS = 200
NO_TIME = np.datetime64("NaT")
RULES = {"min_rows": 100, "min_class_share": 0.01, "maximum_duplicate_share": 0.0, "maximum_leakage_share": 0.0}


def pictures() -> dict[str, np.ndarray[Any, Any]]:
    """Ten days of pictures that are all different."""
    random = np.random.default_rng(1)
    names = np.array([f"item-{row:03d}" for row in range(ROWS)], object)
    images = random.integers(0, 256, (ROWS, 28, 28), np.uint8)
    return {
        "id": names,
        "item": names,
        "time": np.datetime64("2017-09-01", "us") + np.arange(ROWS) * np.timedelta64(72, "m").astype("timedelta64[us]"),
        "image": images,
        **describe_pictures(images),
        "label": np.arange(ROWS) % 10,
    }


def check(tmp_path: Path, rows: dict[str, np.ndarray[Any, Any]], *, holdout_days: int = 2, **rules: float) -> Validated:
    settings = Settings.from_environment({"NORIA_HOME": str(tmp_path / "home")})
    workspace = Workspace(settings=settings)
    task = load_task("fashion")
    made = write_dataset(tmp_path / "made", task.name, task.schema, [table_of(task.schema, rows)])
    workspace.store.put_folder(f"datasets/{made.digest}", made.folder)
    return validate(
        workspace, uri=workspace.store.uri(f"datasets/{made.digest}"), validation_days=1, holdout_days=holdout_days,
        window=WINDOW, rules={**RULES, **rules}, code="test", progress=lambda *_: None,
    )  # fmt: skip


def expect_refusal(found: Validated, why: str) -> None:
    """The run ends here, as by any gate, and the page of the run says why."""
    assert (found.word, type(found.refusal)) == ("invalid", ValidationError)
    assert re.search(why, str(found.refusal))
    assert found.summary.startswith(f"refused, because {found.refusal}\n")
    assert all(f"| violation | {one.rule} {one.column} |" in found.summary for one in found.findings.violations)


def test_good_rows_pass(tmp_path: Path) -> None:
    found = check(tmp_path, pictures())
    assert found.findings.violations == ()
    assert (found.word, found.refusal) == ("valid", None)
    assert found.summary.startswith("200 rows break no rule")


@pytest.mark.parametrize("missing", [[0], [17], [ROWS - 1], list(range(100, 110))])
def test_rows_without_a_time_are_named_in_the_report(tmp_path: Path, missing: list[int]) -> None:
    rows = pictures()
    rows["time"][missing] = NO_TIME
    found = check(tmp_path, rows)
    (broken,) = found.findings.violations
    assert (broken.column, broken.rows) == ("time", len(missing))
    assert [example.row for example in broken.examples] == missing
    expect_refusal(found, r"time.*the rows are in .*validation.html")
    page = Path(found.place).read_text()
    assert all(f"item-{row:03d}" in page for row in missing)


def test_a_time_that_empties_a_part_stands_beside_the_row_that_has_it(tmp_path: Path) -> None:
    rows = pictures()
    rows["time"][-1] = np.datetime64("2099-01-01", "us")
    found = check(tmp_path, rows)
    assert {broken.rule for broken in found.findings.violations} == {"window", "split"}
    assert "item-199" in Path(found.place).read_text()
    expect_refusal(found, r"1 rows outside the window.*no row for validation")


def test_days_that_leave_nothing_to_learn_from_are_a_finding_like_any_other(tmp_path: Path) -> None:
    found = check(tmp_path, pictures(), holdout_days=30)
    (broken,) = found.findings.violations
    assert (broken.rule, found.evidence.violations) == ("split", 1)
    assert "Widen the window or shorten these" in broken.found


@pytest.mark.parametrize(("value", "told"), [(255.5, "range ink"), (-1.0, "range ink"), (np.nan, "nulls ink")])
def test_context_outside_its_bounds_is_refused_by_its_name(tmp_path: Path, value: float, told: str) -> None:
    rows = pictures()
    rows["ink"][17] = value
    found = check(tmp_path, rows)
    (broken,) = found.findings.violations
    assert (broken.column, broken.rows, [example.row for example in broken.examples]) == ("ink", 1, [17])
    expect_refusal(found, told)


def test_context_that_tells_the_label_is_refused_as_a_feature_would_be(tmp_path: Path) -> None:
    rows = pictures()
    rows["width"] = rows["label"].astype(np.float64)  # of one class each, as what is known only afterwards may be
    found = check(tmp_path, rows, maximum_feature_auc=0.7)  # of so few rows bins are wide, and tell less
    assert [(broken.rule, broken.column) for broken in found.findings.violations] == [("disguise", "width")]


def test_rows_with_equal_pictures_are_equal_whatever_their_context_says(tmp_path: Path) -> None:
    rows = pictures()
    rows["image"][1] = rows["image"][0]
    found = check(tmp_path, rows)
    assert [broken.rule for broken in found.findings.violations] == ["duplicate-content"]


def test_context_stands_in_the_data_dictionary_with_its_role(tmp_path: Path) -> None:
    page = Path(check(tmp_path, pictures()).place).read_text()
    for name in ("ink", "filled", "height", "width", "symmetry"):
        assert name in page
    assert "context" in page
