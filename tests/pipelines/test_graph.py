"""Graph: what a run will do and cost is read from the compiled file itself."""

import pytest
import yaml

from noria.errors import NoriaError
from pipelines.compiling import COMPILED
from pipelines.graph import read_graph


def test_the_steps_come_in_an_order_that_they_can_run_in():
    graph = read_graph(COMPILED)
    names = [step.name for step in graph.steps]
    assert names[:5] == ["settle", "ingest", "features", "validate", "train"]
    assert names[-2:] == ["judge", "deploy"]
    for place, step in enumerate(graph.steps):
        assert set(step.after) <= set(names[:place])


def test_deploy_stands_behind_the_gates():
    steps = {step.name: step for step in read_graph(COMPILED).steps}
    assert steps["deploy"].condition == "passed-the-gates"
    assert "judge" in steps["deploy"].after


def test_nothing_is_trained_on_data_that_are_not_valid():
    steps = read_graph(COMPILED).steps
    behind = {step.name for step in steps if step.condition == "valid-data"}
    assert behind == {"train", "evaluate", "rehearse", "judge"}
    assert all("validate" in step.after for step in steps if step.condition)
    assert {step.name for step in steps if not step.condition} == {"settle", "ingest", "features", "validate"}


def test_pods_are_counted_as_kubeflow_makes_them():
    graph = read_graph(COMPILED)
    assert graph.pods == 2 * len(graph.steps) + 3  # a driver each for the root and for the two conditions


def test_resources_are_those_of_the_placement():
    from pipelines.placement import PLACES

    steps = {step.name: step for step in read_graph(COMPILED).steps}
    assert set(steps) == set(PLACES)
    assert steps["train"].cpu == float(PLACES["train"].cpu)
    assert steps["train"].memory == 2 * 2**30
    assert steps["train"].retries == PLACES["train"].retries


def test_what_the_laptop_cannot_honour_is_named():
    limits, pods = read_graph(COMPILED).unheeded
    assert limits == "CPU and memory limits (every step)"
    assert pods.startswith("the pods' settings (")
    assert "imagePullPolicy of every step" in pods
    assert "secretAsVolume of" in pods


def test_what_one_step_alone_has_is_named_too(tmp_path):
    spec, platforms = yaml.safe_load_all(COMPILED.read_text())
    executor = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]
    executor["nodeSelector"] = {"labels": {"gpu": "yes"}}
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump_all([spec, platforms]))
    assert "nodeSelector of train" in read_graph(changed).unheeded[1]


@pytest.mark.parametrize("text", ["", "a: b", "root: 1", "{"])
def test_another_file_is_no_pipeline(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(NoriaError, match="no compiled pipeline"):
        read_graph(tmp_path / "x.yaml")
