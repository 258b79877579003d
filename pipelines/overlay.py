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


# An image's reference, as registries and container runtimes read it.
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:]+\])"
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?P<name>(?:{_HOST}(?::[0-9]{{1,5}})?/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
LONGEST_NAME = 255


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a cluster chooses; "", 0 and none leave what the compiled file says.

    UsageError for an image that is none or moves, and for GPUs that would be reserved in vain.
    """

    image: str = ""
    gpus: int = 0
    nodes: Mapping[str, str] = field(default_factory=dict)  # labels that a node has to have

    def __post_init__(self) -> None:
        if self.image:
            _expect_fixed(self.image)
        if self.gpus not in (0, 1):
            raise UsageError(f"{self.gpus} GPUs for a training that computes on one: expected 0 or 1")


def _expect_fixed(image: str) -> None:
    """UsageError for what is no image's name, and for a name that can come to mean another image."""
    found = _IMAGE.fullmatch(image)
    if not found or len(found["name"]) > LONGEST_NAME:
        raise UsageError(
            f"image {image!r} is no name of an image: expected host:port/name:version, in small letters but for host "
            "and version, and without spaces, or …@sha256: and 64 hexadecimal digits"
        )
    if not found["digest"] and found["tag"] in (None, "latest"):
        raise UsageError(
            f"image {image!r} has no tag of its own: KFP's cache goes by the image's name, so a name that can "
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
    """The text of the pipeline for a cluster: the compiled file itself, byte for byte, where nothing was chosen.

    Equal files and choices give equal bytes.
    """
    try:
        text = compiled.read_text()
        spec, *more = yaml.safe_load_all(text)
        executors = spec["deploymentSpec"]["executors"]
        platforms = more[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    except (OSError, yaml.YAMLError, KeyError, IndexError, ValueError, TypeError) as error:
        raise NoriaError(f"{compiled} is no compiled pipeline ({error}): run `make compile`") from error
    if choices == Choices():
        return text
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
