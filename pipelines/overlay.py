"""Overlay: the compiled pipeline as one cluster is to have it: which image, on which nodes, with a GPU or without."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from noria.errors import NoriaError, UsageError

GPU = "nvidia.com/gpu"
GPU_STEP = "train"  # the one step that computes on one
CUDA = "-cuda"  # ends the tag of the image whose torch computes on GPUs; images/names.sh gives it the same name
# CUDA keeps kernels and a context of its own in the memory of the machine, beside what the step needs without a GPU.
GPU_MEMORY, GPU_MEMORY_BYTES = "8Gi", 8 * 2**30
# No cache may answer for these: what `settle` finds is in none of its inputs, and `deploy` makes what a cluster serves
# as the ledger has it again, where somebody deleted it.
NEVER_CACHED = frozenset({"settle", "deploy"})


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a cluster chooses; "", 0 and none leave what the compiled file says.

    UsageError for an image that moves, and for GPUs that would be reserved in vain.
    """

    image: str = ""
    gpus: int = 0
    nodes: Mapping[str, str] = field(default_factory=dict)  # labels that a node has to have

    def __post_init__(self) -> None:
        named, _, tag = self.image.rpartition("/")[2].partition(":")
        if self.image and "@sha256:" not in self.image and (not named or not tag or tag == "latest"):
            raise UsageError(
                f"image {self.image!r} has no tag of its own: KFP's cache goes by the image's name, so a name that can "
                "come to mean other code would serve the results of the old; write name:version or name@sha256:…"
            )
        if self.gpus not in (0, 1):
            raise UsageError(f"{self.gpus} GPUs for a training that computes on one: expected 0 or 1")


def parse_nodes(pairs: list[str]) -> dict[str, str]:
    """Read labels as they are typed, KEY=VALUE; UsageError for one that is none."""
    nodes = {}
    for pair in pairs:
        if not (found := re.fullmatch(r"([A-Za-z0-9./_-]+)=([A-Za-z0-9._-]*)", pair)):
            raise UsageError(f"--node {pair!r} is no label: write KEY=VALUE, such as --node pool=training")
        nodes[found[1]] = found[2]
    return nodes


def lay_over(compiled: Path, choices: Choices) -> str:
    """The text of the pipeline for a cluster; equal files and choices give equal bytes.

    It differs from the compiled file in the choices, and in that two steps are never taken from KFP's cache. On a
    laptop `settle` gets a finished plan, and repeats it, and predictors follow the ledger, which no cache forgets.
    """
    try:
        spec, *more = yaml.safe_load_all(compiled.read_text())
        executors = spec["deploymentSpec"]["executors"]
        dags = [spec["root"]["dag"], *(part["dag"] for part in spec["components"].values() if "dag" in part)]
        tasks = {name: task for dag in dags for name, task in dag["tasks"].items()}
        for name in NEVER_CACHED:
            tasks[name]["cachingOptions"] = {}
        platforms = more[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    except (OSError, yaml.YAMLError, KeyError, IndexError, ValueError, TypeError) as error:
        raise NoriaError(f"{compiled} is no compiled pipeline ({error}): run `make compile`") from error
    image = choose_image(executors[f"exec-{GPU_STEP}"]["container"]["image"], choices)
    for executor in executors.values() if image else ():
        executor["container"]["image"] = image
    for pod in platforms.values() if choices.nodes else ():
        pod["nodeSelector"] = {"labels": dict(choices.nodes)}
    if choices.gpus:
        _give_gpu(executors[f"exec-{GPU_STEP}"], platforms[f"exec-{GPU_STEP}"])
        # What somebody sees who starts a run of this file by hand; `noria submit` says it itself.
        spec["root"]["inputDefinitions"]["parameters"]["training"] |= {
            "defaultValue": {"device": "cuda"},
            "isOptional": True,
        }
    return yaml.safe_dump_all([spec, *more], sort_keys=True)


def choose_image(own: str, choices: Choices) -> str:
    """The image of all steps: the chosen one, else with a GPU the one like `own` that holds CUDA; "" for no other.

    UsageError for a GPU and the image that is known to have no CUDA, whichever registry it comes from.
    """
    if choices.gpus and choices.image.rpartition("/")[2] == own.rpartition("/")[2]:
        raise UsageError(
            f"a GPU would idle in image {choices.image}, whose torch computes on processors alone: expected one with "
            f"CUDA, such as {choices.image}{CUDA}, which `make images STEPS_TORCH=cu130` builds"
        )
    return choices.image or (own + CUDA if choices.gpus else "")


def version_of(text: str, release: str) -> str:
    """The name of a pipeline version: the release that it is of, and what is in it."""
    return f"{release}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _give_gpu(executor: dict[str, Any], pod: dict[str, Any]) -> None:
    """As kfp's compiler writes `set_accelerator_limit`, and `add_toleration` for nodes that only let those in."""
    resources = executor["container"].setdefault("resources", {})
    resources["accelerator"] = {"count": "1", "resourceCount": "1", "resourceType": GPU, "type": GPU}
    for bound in ("Limit", "Request"):
        resources |= {f"memory{bound}": GPU_MEMORY_BYTES / 1e9, f"resourceMemory{bound}": GPU_MEMORY}
    pod.setdefault("tolerations", []).append({"effect": "NoSchedule", "key": GPU, "operator": "Exists"})
