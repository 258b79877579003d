"""Graph: what a compiled pipeline will do and cost, read from the file itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from noria.errors import NoriaError

# KFP 2 runs a driver pod for the root and for each inner DAG, and a driver and an executor pod for each task.
PODS_A_DAG = 1
PODS_A_STEP = 2


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: `after` names the steps it waits for, `condition` the inner DAG that it stands in ("" for none)."""

    name: str
    after: tuple[str, ...]
    condition: str
    image: str
    cpu: float  # cores
    memory: float  # bytes
    retries: int


@dataclass(frozen=True, kw_only=True)
class Graph:
    name: str
    steps: tuple[Step, ...]
    dags: int
    unheeded: tuple[str, ...]  # settings that the laptop runner cannot honour, each as one phrase

    @property
    def pods(self) -> int:
        return self.dags * PODS_A_DAG + len(self.steps) * PODS_A_STEP


def read_graph(compiled: Path) -> Graph:
    """Read a compiled pipeline; NoriaError if the file is missing or is none."""
    try:
        spec, *more = yaml.safe_load_all(compiled.read_text())
        steps = tuple(_steps(spec, spec["root"], "", ()))
        platforms = more[0]["platforms"] if more else {}
        name = spec["pipelineInfo"]["name"]
    except (OSError, yaml.YAMLError, KeyError, ValueError) as error:
        raise NoriaError(f"{compiled} is no compiled pipeline ({error}): run `make compile`") from error
    dags = 1 + len({step.condition for step in steps if step.condition})
    return Graph(name=name, steps=_ordered(steps), dags=dags, unheeded=tuple(_unheeded(steps, platforms)))


def _steps(spec: dict[str, Any], dag: dict[str, Any], condition: str, outer: tuple[str, ...]) -> Iterator[Step]:
    executors = spec["deploymentSpec"]["executors"]
    for task in dag["dag"]["tasks"].values():
        component = spec["components"][task["componentRef"]["name"]]
        after = tuple(sorted(task.get("dependentTasks", ()))) + outer
        if "dag" in component:
            yield from _steps(spec, component, task["taskInfo"]["name"], after)
            continue
        container = executors[component["executorLabel"]]["container"]
        limits = container.get("resources", {})
        yield Step(
            name=task["taskInfo"]["name"],
            after=after,
            condition=condition,
            image=container["image"],
            cpu=float(limits.get("cpuLimit", 0)),
            memory=float(limits.get("memoryLimit", 0)) * 1e9,
            retries=int(task.get("retryPolicy", {}).get("maxRetryCount", 0)),
        )


def _ordered(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps so that each comes after those that it waits for."""
    ordered: list[Step] = []
    waiting = list(steps)
    while waiting:
        done = {step.name for step in ordered}
        ready = [step for step in waiting if set(step.after) <= done]
        if not ready:
            raise NoriaError(
                f"steps {', '.join(step.name for step in waiting)} wait for each other: run `make compile`"
            )
        ordered += ready
        waiting = [step for step in waiting if step not in ready]
    return tuple(ordered)


def _unheeded(steps: tuple[Step, ...], platforms: dict[str, Any]) -> Iterator[str]:
    limited = [step.name for step in steps if step.cpu or step.memory]
    if limited:
        yield f"CPU and memory limits ({_which(limited, steps)})"
    settings: dict[str, list[str]] = {}
    for platform in platforms.values():
        for label, executor in platform.get("deploymentSpec", {}).get("executors", {}).items():
            for setting in executor:
                settings.setdefault(setting, []).append(label.removeprefix("exec-"))
    # One phrase for all of them: what a pod is made of says nothing to somebody who has none.
    if settings:
        named = [f"{setting} of {_which(names, steps)}" for setting, names in sorted(settings.items())]
        yield f"the pods' settings ({', '.join(named)})"


def _which(names: list[str], steps: tuple[Step, ...]) -> str:
    return "every step" if set(names) == {step.name for step in steps} else ", ".join(sorted(names))
