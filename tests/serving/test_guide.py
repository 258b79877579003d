"""The guide's examples, as they stand in it, against a real predictor of the task's own schema."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from airline import make_airline_model
from predictor import PATIENCE, ROOT, Predictor, predictor
from tiny_models import facts_for, make_model

from noria.stores.online.rows import OnlineRow, Packer, row_key
from noria.stores.online.store import open_online
from noria.tasks.fashion import Fashion
from noria.tasks.flights.task import Flights

GUIDES = ROOT / "docs" / "guides"
WHOLE = (GUIDES / "serving.md").read_text()
FEATURES = WHOLE[WHOLE.index("## Features from the store") : WHOLE.index("## Several models")]
GUIDE = WHOLE.replace(FEATURES, "")


@pytest.fixture(scope="module")
def fashion(publish, home: Path) -> Iterator[Predictor]:
    task = Fashion()
    bundle = publish(make_model(task.schema.features, classes=len(task.classes)), facts_for(task))
    with predictor(["--bundle", bundle], home) as running:
        yield running


def blocks(language: str, text: str = GUIDE) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def aim(text: str, running: Predictor) -> str:
    return text.replace("localhost:8080", f"127.0.0.1:{running.port}")


def test_the_guide_has_examples():
    assert (len(blocks("sh")), len(blocks("python"))) == (3, 1)


@pytest.mark.parametrize("number", range(3))
def test_the_examples_for_a_shell_are_answered(fashion: Predictor, number: int):
    script = aim(blocks("sh")[number], fashion)
    done = subprocess.run(["bash", "-ceu", script], capture_output=True, timeout=PATIENCE, check=True, text=True)
    answer = json.loads(done.stdout.replace("}{", "}\n{").splitlines()[-1])
    assert "error" not in answer
    assert answer.get("model_name", answer.get("name")) == "fashion"


def test_the_example_in_python_is_answered(fashion: Predictor):
    names: dict[str, object] = {}
    exec(aim(blocks("python")[0], fashion), names)
    assert names["probabilities"].sum() == pytest.approx(1)


@pytest.fixture(scope="module")
def flights(publish, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    task, path = Flights(), str(tmp_path_factory.mktemp("online") / "online.db")
    facts = replace(facts_for(task), service=task.service)
    event = int(datetime(2013, 4, 1, 9, tzinfo=UTC).timestamp() * 1e6)
    store = open_online(path)
    for view in task.service.views:
        values = tuple("" if field.type == "string" else None for field in view.fields)
        keys = [{"carrier": "UA", "origin": "EWR", "dest": "IAH", "tailnum": "N14228"}[key] for key in view.keys]
        row = OnlineRow(event=event, created=event, values=values)
        store.write([(row_key(view.name, keys), Packer(view).pack(row))])
    store.close()
    bundle = publish(make_airline_model(task.schema.features, classes=2), facts)
    with predictor(["--bundle", bundle, "--online", path], home) as running:
        yield running


def test_the_guide_has_examples_of_features_from_the_store():
    assert (len(blocks("sh", FEATURES)), len(blocks("python", FEATURES))) == (1, 1)


def test_the_examples_of_features_from_the_store_are_answered(flights: Predictor):
    script = aim(blocks("sh", FEATURES)[0], flights)
    done = subprocess.run(["bash", "-ceu", script], capture_output=True, timeout=PATIENCE, check=True, text=True)
    answer = json.loads(done.stdout)
    assert answer["model_name"] == "flights"
    assert answer["features"] == "defaults"  # the store's rows are of 2013, and the question is of now
    names: dict[str, Any] = {}
    exec(aim(blocks("python", FEATURES)[0], flights), names)
    assert names["answer"]["outputs"][0]["shape"] == [2, 2]
    assert names["views"]["aircraft"] == {"fresh": 1, "unknown": 1}
    assert "route" in names["views"]


def test_the_guide_names_every_option_and_every_figure_of_the_store(flights: Predictor):
    program = [sys.executable, "-m", "serving", "--help"]
    shown = subprocess.run(program, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    options = set(re.findall(r"--(?:online|features)[a-z-]*", shown))
    assert options == set(re.findall(r"--(?:online|features)[a-z-]*", FEATURES))
    metrics = flights.client.get("/metrics").text
    for name in re.findall(r"`(noria_[a-z_]+)", FEATURES):
        assert f"\n{name}" in metrics, name


def test_the_notebook_runs_from_its_first_cell_to_its_last(fashion: Predictor):
    notebook = json.loads((GUIDES / "serving.ipynb").read_text())
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(aim("".join(cell["source"]), fashion), names)
    assert names["probabilities"].shape == (8, 10)
    np.testing.assert_allclose(names["probabilities"].sum(axis=1), 1, atol=1e-5)


def test_the_refusal_in_the_guide_is_the_one_that_is_given(fashion: Predictor):
    command, answer = re.search(r"```\n\$ (curl .*)\n(\{.*\})\n```", GUIDE).groups()
    done = subprocess.run(["bash", "-c", aim(command, fashion)], capture_output=True, check=True, text=True)
    assert done.stdout == answer
