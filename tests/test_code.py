"""Code: the digest that steps are cached by changes with the code behind them, and with no other."""

import shutil
from pathlib import Path

import pytest

from noria.code import code_digest
from noria.task import load_task
from noria.tasks.fashion import Fashion

ROOT = Path(__file__).parents[1]


class WithoutFeatures:
    """In the same place as the tasks that take some."""

    __module__ = Fashion.__module__


@pytest.mark.parametrize(
    ("task", "changes"), [(load_task("flights"), True), (load_task("fashion"), True), (WithoutFeatures(), False)]
)
@pytest.mark.parametrize("name", ["flights.py", "feature_store.yaml"])
def test_the_feature_repository_is_code_of_the_tasks_that_take_features_only(tmp_path, task, changes, name):
    for room in ("serving", "feature_repo"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    before = code_digest(task, tmp_path)
    with (tmp_path / "feature_repo" / name).open("a") as file:
        file.write("# another\n")
    assert (code_digest(task, tmp_path) != before) == changes
