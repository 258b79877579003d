"""Overlay: a cluster's choices are laid over the compiled file as kfp itself would have compiled them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from noria.errors import NoriaError, UsageError
from pipelines.compiling import COMPILED
from pipelines.overlay import Choices, lay_over, parse_nodes, version_of

BY_KFP = """
import sys
from kfp import compiler, dsl, kubernetes

@dsl.component(base_image="x/python:1", packages_to_install=[], install_kfp_package=False)
def train() -> str:
    return ""

@dsl.pipeline(name="p")
def pipeline():
    task = train()
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2).set_caching_options(False)
    kubernetes.add_node_selector(task, "pool", "training")
    kubernetes.add_toleration(task, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")

compiler.Compiler().compile(pipeline, sys.argv[1])
"""


def read(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    spec, platforms = yaml.safe_load_all(text)
    return spec, platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def cached_apart(spec: dict[str, Any]) -> dict[str, Any]:
    """The caching options of every step, taken out of the pipeline."""
    dags = [spec["root"]["dag"], *(part["dag"] for part in spec["components"].values() if "dag" in part)]
    steps = {name: task for dag in dags for name, task in dag["tasks"].items() if "cachingOptions" in task}
    return {name: task.pop("cachingOptions") for name, task in steps.items()}


def test_without_choices_all_is_as_it_was_but_for_the_steps_that_no_cache_may_answer_for() -> None:
    before, pods_before = read(COMPILED.read_text())
    spec, pods = read(lay_over(COMPILED, Choices()))
    assert pods == pods_before
    was, now = cached_apart(before), cached_apart(spec)
    assert {name: (was[name], now[name]) for name in was if was[name] != now[name]} == {
        "settle": ({"enableCache": True}, {}),
        "deploy": ({"enableCache": True}, {}),
    }
    assert spec == before


def test_choices_are_written_as_kfp_writes_them(tmp_path: Path) -> None:
    (tmp_path / "by_kfp.py").write_text(BY_KFP)
    subprocess.run([sys.executable, "-W", "ignore", "by_kfp.py", "by_kfp.yaml"], cwd=tmp_path, check=True)
    by_kfp, pods_by_kfp = read((tmp_path / "by_kfp.yaml").read_text())
    choices = Choices(image="r.example/noria/python-steps:7", gpus=2, nodes={"pool": "training"})
    spec, pods = read(lay_over(COMPILED, choices))
    containers = {name: one["container"] for name, one in spec["deploymentSpec"]["executors"].items()}
    by_kfp_container = by_kfp["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert {container["image"] for container in containers.values()} == {choices.image}
    assert containers["exec-train"]["resources"]["accelerator"] == by_kfp_container["resources"]["accelerator"]
    assert [name for name, one in containers.items() if "accelerator" in one["resources"]] == ["exec-train"]
    assert pods["exec-train"]["tolerations"] == pods_by_kfp["exec-train"]["tolerations"]
    assert {str(pod["nodeSelector"]) for pod in pods.values()} == {str(pods_by_kfp["exec-train"]["nodeSelector"])}
    assert (
        spec["root"]["dag"]["tasks"]["settle"]["cachingOptions"]
        == by_kfp["root"]["dag"]["tasks"]["train"]["cachingOptions"]
    )


def test_what_is_laid_over_can_still_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "laid.yaml").write_text(lay_over(COMPILED, Choices(gpus=1)))
    program = "import sys; from kfp import components; components.load_component_from_file(sys.argv[1])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "laid.yaml")], check=True)


def test_equal_choices_have_equal_names() -> None:
    one, same, other = (lay_over(COMPILED, Choices(gpus=gpus)) for gpus in (1, 1, 2))
    assert version_of(one, "0.1.0") == version_of(same, "0.1.0") != version_of(other, "0.1.0")
    assert version_of(one, "0.1.0").startswith("0.1.0-")


@pytest.mark.parametrize("image", ["noria/python-steps", "noria/python-steps:latest", "localhost:5000/steps", ":1"])
def test_an_image_whose_name_can_come_to_mean_other_code_is_refused(image: str) -> None:
    with pytest.raises(UsageError, match="KFP's cache goes by the image's name"):
        Choices(image=image)


@pytest.mark.parametrize("image", ["noria/steps:0.1.0", "localhost:5000/steps:1", f"noria/steps@sha256:{'0' * 64}"])
def test_an_image_with_a_name_of_its_own_is_taken(image: str) -> None:
    assert Choices(image=image).image == image


def test_labels_of_nodes_are_read() -> None:
    assert parse_nodes(["pool=training", "example.com/disk=ssd"]) == {"pool": "training", "example.com/disk": "ssd"}
    with pytest.raises(UsageError, match="no label: write KEY=VALUE"):
        parse_nodes(["pool"])


@pytest.mark.parametrize("text", ["", "a: b", "root: {dag: {tasks: {settle: {}}}}"])
def test_another_file_is_no_pipeline(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(NoriaError, match="no compiled pipeline"):
        lay_over(tmp_path / "x.yaml", Choices())
