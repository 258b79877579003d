"""Validate as a step: every row that breaks a rule is in the report, whatever else is wrong with the data."""

from __future__ import annotations

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

WINDOW = Window(start=datetime(2017, 9, 1, tzinfo=UTC), end=datetime(2017, 9, 11, tzinfo=UTC))
ROWS = 200
NO_TIME = np.datetime64("NaT")
RULES = {"min_rows": 100, "min_class_share": 0.01, "maximum_duplicate_share": 0.0, "maximum_leakage_share": 0.0}


def pictures() -> dict[str, np.ndarray[Any, Any]]:
    """Ten days of pictures that are all different."""
    random = np.random.default_rng(1)
    return {
        "id": np.array([f"item-{row:03d}" for row in range(ROWS)], object),
        "time": np.datetime64("2017-09-01", "us") + np.arange(ROWS) * np.timedelta64(72, "m").astype("timedelta64[us]"),
        "image": random.integers(0, 256, (ROWS, 28, 28), np.uint8),
        "label": np.arange(ROWS) % 10,
    }


def check(tmp_path: Path, rows: dict[str, np.ndarray[Any, Any]], *, holdout_days: int = 2) -> Validated:
    settings = Settings.from_environment({"NORIA_HOME": str(tmp_path / "home")})
    workspace = Workspace(settings=settings)
    task = load_task("fashion")
    made = write_dataset(tmp_path / "made", task.name, task.schema, [table_of(task.schema, rows)])
    workspace.store.put_folder(f"datasets/{made.digest}", made.folder)
    return validate(
        workspace, uri=workspace.store.uri(f"datasets/{made.digest}"), validation_days=1, holdout_days=holdout_days,
        window=WINDOW, rules=RULES, code="test", progress=lambda *_: None,
    )  # fmt: skip


def test_good_rows_pass(tmp_path: Path) -> None:
    found = check(tmp_path, pictures())
    assert found.findings.violations == ()
    found.stop_if_violated()


@pytest.mark.parametrize("missing", [[0], [17], [ROWS - 1], list(range(100, 110))])
def test_rows_without_a_time_are_named_in_the_report(tmp_path: Path, missing: list[int]) -> None:
    rows = pictures()
    rows["time"][missing] = NO_TIME
    found = check(tmp_path, rows)
    (broken,) = found.findings.violations
    assert (broken.column, broken.rows) == ("time", len(missing))
    assert [example.row for example in broken.examples] == missing
    with pytest.raises(ValidationError, match=r"time.*the rows are in .*validation.html"):
        found.stop_if_violated()
    page = Path(found.place).read_text()
    assert all(f"item-{row:03d}" in page for row in missing)


def test_a_time_that_empties_a_part_stands_beside_the_row_that_has_it(tmp_path: Path) -> None:
    rows = pictures()
    rows["time"][-1] = np.datetime64("2099-01-01", "us")
    found = check(tmp_path, rows)
    assert {broken.rule for broken in found.findings.violations} == {"window", "split"}
    assert "item-199" in Path(found.place).read_text()
    with pytest.raises(ValidationError, match=r"1 rows outside the window.*no row for validation"):
        found.stop_if_violated()


def test_days_that_leave_nothing_to_learn_from_are_a_finding_like_any_other(tmp_path: Path) -> None:
    found = check(tmp_path, pictures(), holdout_days=30)
    (broken,) = found.findings.violations
    assert (broken.rule, found.evidence.violations) == ("split", 1)
    assert "Widen the window or shorten these" in broken.found
