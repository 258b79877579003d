"""The guide's examples, as they stand in it, against a real predictor of the task's own schema."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from predictor import PATIENCE, ROOT, Predictor, predictor
from tiny_models import facts_for, make_model

from noria.tasks.fashion import Fashion

GUIDES = ROOT / "docs" / "guides"
GUIDE = (GUIDES / "serving.md").read_text()


@pytest.fixture(scope="module")
def fashion(publish, home: Path) -> Iterator[Predictor]:
    task = Fashion()
    bundle = publish(make_model(task.schema.features, classes=len(task.classes)), facts_for(task))
    with predictor(["--bundle", bundle], home) as running:
        yield running


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


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
