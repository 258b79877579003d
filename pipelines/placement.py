"""Placement: WHERE a step runs on a cluster: how much of a machine it gets, and whether it may be tried again."""

from __future__ import annotations

from dataclasses import dataclass

from kfp import dsl, kubernetes


@dataclass(frozen=True, kw_only=True)
class Place:
    """Requests equal limits: what a step is given is what it may use. `cpu` and `memory` as Kubernetes writes them."""

    cpu: str
    memory: str
    retries: int = 0


# A step whose result depends on nothing but its inputs may be tried again; `deploy` is not: it tells a person instead.
PLACES = {
    "ingest": Place(cpu="1", memory="2Gi", retries=2),
    "features": Place(cpu="1", memory="4Gi", retries=2),
    "validate": Place(cpu="1", memory="2Gi"),
    "train": Place(cpu="2", memory="2Gi", retries=2),
    "evaluate": Place(cpu="1", memory="2Gi", retries=1),
    "rehearse": Place(cpu="1", memory="2Gi", retries=1),
    "judge": Place(cpu="500m", memory="1Gi"),
    "deploy": Place(cpu="500m", memory="1Gi"),
}


def place(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Give a step its place."""
    where = PLACES[task.component_spec.name]
    task.set_cpu_request(where.cpu).set_cpu_limit(where.cpu)
    task.set_memory_request(where.memory).set_memory_limit(where.memory)
    if where.retries:
        task.set_retry(num_retries=where.retries, backoff_duration="10s", backoff_factor=2.0)
    kubernetes.set_image_pull_policy(task, "IfNotPresent")
    return task
