"""Overlay: a cluster's choices are laid over the compiled file as kfp itself would have compiled them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import noria
from noria.cli.submit import ask_for
from noria.errors import NoriaError, UsageError
from pipelines.compiling import COMPILED
from pipelines.overlay import CUDA, Choices, lay_over, parse_nodes, version_of

ROOT = Path(__file__).parents[2]

BY_KFP = """
import sys
from kfp import compiler, dsl, kubernetes

@dsl.component(base_image="x/python:1", packages_to_install=[], install_kfp_package=False)
def train() -> str:
    return ""

@dsl.pipeline(name="p")
def pipeline():
    task = train()
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1).set_caching_options(False)
    task.set_memory_request("8Gi").set_memory_limit("8Gi")
    kubernetes.add_node_selector(task, "pool", "training")
    kubernetes.add_toleration(task, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")

compiler.Compiler().compile(pipeline, sys.argv[1])
"""


def read(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    spec, platforms = yaml.safe_load_all(text)
    return spec, platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def test_without_choices_it_is_the_very_file_that_runs_on_a_laptop() -> None:
    assert lay_over(COMPILED, Choices()).encode() == COMPILED.read_bytes()


def test_no_cache_answers_for_what_is_in_no_input() -> None:
    spec, _ = read(COMPILED.read_text())
    dags = [spec["root"]["dag"], *(part["dag"] for part in spec["components"].values() if "dag" in part)]
    cached = {
        name: one["cachingOptions"] for dag in dags for name, one in dag["tasks"].items() if "cachingOptions" in one
    }
    assert {name for name, options in cached.items() if not options.get("enableCache")} == {"settle", "deploy"}


def test_choices_are_written_as_kfp_writes_them(tmp_path: Path) -> None:
    (tmp_path / "by_kfp.py").write_text(BY_KFP)
    subprocess.run([sys.executable, "-W", "ignore", "by_kfp.py", "by_kfp.yaml"], cwd=tmp_path, check=True)
    by_kfp, pods_by_kfp = read((tmp_path / "by_kfp.yaml").read_text())
    choices = Choices(image="r.example/noria/python-steps:7", gpus=1, nodes={"pool": "training"})
    spec, pods = read(lay_over(COMPILED, choices))
    containers = {name: one["container"] for name, one in spec["deploymentSpec"]["executors"].items()}
    by_kfp_container = by_kfp["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert {container["image"] for container in containers.values()} == {choices.image}
    assert by_kfp_container["resources"].items() <= containers["exec-train"]["resources"].items()
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
    one, same, other = (lay_over(COMPILED, Choices(gpus=gpus)) for gpus in (1, 1, 0))
    assert version_of(one, "0.1.0") == version_of(same, "0.1.0") != version_of(other, "0.1.0")
    assert version_of(one, "0.1.0").startswith("0.1.0-")


@pytest.mark.parametrize("image", ["noria/python-steps", "noria/python-steps:latest", "localhost:5000/steps"])
def test_an_image_whose_name_can_come_to_mean_other_code_is_refused(image: str) -> None:
    with pytest.raises(UsageError, match="KFP's cache goes by the image's name"):
        Choices(image=image)


@pytest.mark.parametrize(
    "image",
    [
        "bad image:1", " steps:1", "steps:1\n", ":1", "steps:", "a//steps:1", "noria/Steps:1", "steps:1:2",
        "-a/steps:1", f"steps:{'1' * 129}", f"{'a' * 256}:1", "steps@sha256:12", f"steps@sha256:{'G' * 64}",
    ],
)  # fmt: skip
def test_what_is_no_images_name_is_refused_as_such(image: str) -> None:
    with pytest.raises(UsageError, match="is no name of an image: expected host:port/name:version") as caught:
        Choices(image=image)
    assert "cache" not in str(caught.value)


@pytest.mark.parametrize(
    "image",
    [
        "R.example.com:443/team/a__b-c/steps:V1.0_x-y",
        "noria/steps:0.1.0",
        "localhost:5000/steps:1",
        f"noria/steps@sha256:{'0' * 64}",
    ],
)
def test_an_image_with_a_name_of_its_own_is_taken(image: str) -> None:
    assert Choices(image=image).image == image


def images_of(text: str) -> set[str]:
    spec, _ = read(text)
    return {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()}


def test_with_a_gpu_all_steps_take_the_image_with_cuda_and_a_run_by_hand_is_asked_to_use_it() -> None:
    (own,) = images_of(COMPILED.read_text())
    text = lay_over(COMPILED, Choices(gpus=1))
    assert images_of(text) == {f"{own}-cuda"}
    training = read(text)[0]["root"]["inputDefinitions"]["parameters"]["training"]
    assert training["defaultValue"] == {"device": "cuda"}
    assert images_of(lay_over(COMPILED, Choices(gpus=1, image="r.example/steps:7-cuda"))) == {"r.example/steps:7-cuda"}


@pytest.mark.parametrize("registry", ["", "r.example/team/"])
def test_a_gpu_is_refused_for_the_image_that_is_known_to_have_no_cuda(registry: str) -> None:
    name = f"{registry}noria/python-steps:{noria.__version__}"
    with pytest.raises(UsageError, match=f"a GPU would idle in image {name}, .* such as {name}-cuda"):
        lay_over(COMPILED, Choices(gpus=1, image=name))
    assert images_of(lay_over(COMPILED, Choices(image=name))) == {name}


def test_the_scripts_that_build_images_give_them_the_same_names() -> None:
    for torch, suffix in (("cpu", ""), ("cu130", CUDA)):
        done = name_image(torch)
        assert done.stdout == f"noria/python-steps:{noria.__version__}{suffix}\n", done.stderr
        assert name_image(torch, role="serving").stdout == f"noria/serving:{noria.__version__}\n"
    refused = name_image("rocm7.2")
    assert (refused.returncode, "STEPS_TORCH is rocm7.2: expected cpu, or cu and a version" in refused.stderr) == (
        2,
        True,
    )


def name_image(torch: str, role: str = "steps") -> subprocess.CompletedProcess[str]:
    command = ["bash", "-euo", "pipefail", "-c", f". images/names.sh; image_of {role}"]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "STEPS_TORCH": torch}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("gpus", [-1, 2, 16])
def test_more_gpus_than_a_training_uses_are_refused(gpus: int) -> None:
    with pytest.raises(UsageError, match=f"{gpus} GPUs for a training that computes on one: expected 0 or 1"):
        Choices(gpus=gpus)


def test_a_gpu_that_is_asked_for_is_what_the_run_trains_on() -> None:
    assert ask_for("fashion", "dev", [], at="").arguments["training"] == {}
    asked = ask_for("fashion", "dev", ["training.precision=float32"], gpus=1, at="").arguments["training"]
    assert asked == {"device": "cuda", "precision": "float32"}


@pytest.mark.parametrize(("pairs", "gpus", "message"), [
    (["training.device=cpu"], 1, "training.device is cpu with 1 GPU reserved"),
    (["training.device=cuda"], 0, "training.device is cuda with no GPU reserved: .* say --gpus 1"),
])  # fmt: skip
def test_a_gpu_without_its_training_and_a_training_without_its_gpu_are_refused(
    pairs: list[str], gpus: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ask_for("fashion", "dev", pairs, gpus=gpus, at="")


def test_labels_of_nodes_are_read() -> None:
    assert parse_nodes(["pool=training", "example.com/disk=ssd"]) == {"pool": "training", "example.com/disk": "ssd"}
    with pytest.raises(UsageError, match="no label: write KEY=VALUE"):
        parse_nodes(["pool"])


@pytest.mark.parametrize("text", ["", "a: b", "root: {dag: {tasks: {settle: {}}}}"])
def test_another_file_is_no_pipeline(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(NoriaError, match="no compiled pipeline"):
        lay_over(tmp_path / "x.yaml", Choices())
