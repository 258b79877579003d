"""Overlay: the compiled pipeline as one cluster is to have it: which image, on which nodes, with how many GPUs."""

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
# No cache may answer for these: what `settle` finds is in none of its inputs, and `deploy` makes what a cluster serves
# as the ledger has it again, where somebody deleted it.
NEVER_CACHED = frozenset({"settle", "deploy"})


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a cluster chooses; "", 0 and none leave what the compiled file says. UsageError for an image that moves."""

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
    for executor in executors.values() if choices.image else ():
        executor["container"]["image"] = choices.image
    for pod in platforms.values() if choices.nodes else ():
        pod["nodeSelector"] = {"labels": dict(choices.nodes)}
    if choices.gpus:
        _give_gpus(executors[f"exec-{GPU_STEP}"], platforms[f"exec-{GPU_STEP}"], choices.gpus)
    return yaml.safe_dump_all([spec, *more], sort_keys=True)


def version_of(text: str, release: str) -> str:
    """The name of a pipeline version: the release that it is of, and what is in it."""
    return f"{release}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _give_gpus(executor: dict[str, Any], pod: dict[str, Any], count: int) -> None:
    """As kfp's compiler writes `set_accelerator_limit`, and `add_toleration` for nodes that only let those in."""
    wanted = {"count": str(count), "resourceCount": str(count), "resourceType": GPU, "type": GPU}
    executor["container"].setdefault("resources", {})["accelerator"] = wanted
    pod.setdefault("tolerations", []).append({"effect": "NoSchedule", "key": GPU, "operator": "Exists"})
