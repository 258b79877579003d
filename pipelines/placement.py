"""Placement: WHERE a step runs on a cluster: how much of a machine it gets, as whom, and with which secrets.

The names below are those of the objects that the chart makes. `kfp.local` heeds none of this.
"""

from __future__ import annotations

from dataclasses import dataclass

from kfp import dsl, kubernetes

USER = 65532  # of our images, who owns nothing in them
SETTINGS = "noria-settings"  # a ConfigMap: WHERE, as environment variables
# Without these a step would keep its results in a pod that ends with it, or fail later and less clearly.
NEEDED_SETTINGS = ("NORIA_HOME", "NORIA_OBJECTS", "NORIA_SIGNING_KEY", "NORIA_TRUSTED_KEYS")
OTHER_SETTINGS = (
    "NORIA_OBJECTS_ENDPOINT",
    "NORIA_OBJECTS_KEYS",
    "NORIA_OBJECTS_REGION",
    "NORIA_ONLINE",
    "NORIA_ONLINE_PASSWORD_FILE",
    "NORIA_REGISTRY",
    "NORIA_SERVING",
    "NORIA_SERVING_NAMESPACE",
    "NORIA_SERVING_OBJECT",
    "NORIA_SERVING_SECONDS",
    "MLFLOW_TRACKING_URI",  # nothing of Noria reads it: a task's own code finds its server by it
)
# Never as AWS_* variables: KFP's launcher starts in the same container, and would ask its own bucket with them.
STORE_SECRET = "noria-s3"  # noqa: S105  # the name of a Secret
STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SIGNING_SECRET = "noria-signing"  # noqa: S105  # holds signing.pem
TRUSTED_KEYS = "noria-trusted-keys"  # a ConfigMap of public keys
MOUNTS = "/var/run/noria"
ASKED_CPU = "250m"
SIGNING_MOUNT, TRUSTED_MOUNT, HOME_MOUNT = f"{MOUNTS}/signing", f"{MOUNTS}/trusted", f"{MOUNTS}/home"
STORE_MOUNT = f"{MOUNTS}/store"
TMP_MOUNT = "/tmp"  # noqa: S108  # a volume of the pod's own


@dataclass(frozen=True, kw_only=True)
class Place:
    """`cpu` and `memory` as Kubernetes writes them: what a step may use.

    All of the memory is asked for, because a step that has too little of it ends; of the processor a quarter of a core,
    because one that has to share is slower and no more, and a node of two cores is nearly full with what Kubeflow
    Pipelines and KServe ask for themselves. `disk` is what its home may hold: copies of datasets and bundles; `scratch`
    what /tmp may: KFP's own outputs, and what DuckDB spills. `signs`: whether it gets the private key.
    """

    cpu: str
    memory: str
    disk: str = "4Gi"
    scratch: str = "1Gi"
    retries: int = 0
    signs: bool = False


# A step whose result depends on nothing but its inputs may be tried again: twice where it moves much data to and from a
# store, else once. So may `judge`, which finds its own entry in the ledger again. `deploy` tells a person instead.
PLACES = {
    "settle": Place(cpu="250m", memory="1Gi", disk="1Gi", retries=2),
    "ingest": Place(cpu="1", memory="2Gi", retries=2),
    "features": Place(cpu="1", memory="4Gi", scratch="4Gi", retries=2),
    "validate": Place(cpu="1", memory="2Gi", retries=1),
    "train": Place(cpu="2", memory="2Gi", retries=2, signs=True),
    "evaluate": Place(cpu="1", memory="2Gi", retries=1),
    "rehearse": Place(cpu="1", memory="2Gi", retries=1),
    "judge": Place(cpu="500m", memory="1Gi", retries=1, signs=True),
    "deploy": Place(cpu="500m", memory="2Gi", signs=True),
}


def place(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Give a step its place."""
    where = PLACES[task.component_spec.name]
    task.set_cpu_request(ASKED_CPU).set_cpu_limit(where.cpu)
    task.set_memory_request(where.memory).set_memory_limit(where.memory)
    if where.retries:
        task.set_retry(num_retries=where.retries, backoff_duration="10s", backoff_factor=2.0)
    kubernetes.set_image_pull_policy(task, "IfNotPresent")
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    kubernetes.use_config_map_as_env(task, SETTINGS, {name: name for name in NEEDED_SETTINGS})
    kubernetes.use_config_map_as_env(task, SETTINGS, {name: name for name in OTHER_SETTINGS}, optional=True)
    # Where a cluster gives a role in place of keys there is no such Secret.
    kubernetes.use_secret_as_volume(task, STORE_SECRET, mount_path=STORE_MOUNT, optional=True)
    kubernetes.use_config_map_as_volume(task, TRUSTED_KEYS, mount_path=TRUSTED_MOUNT)
    kubernetes.empty_dir_mount(task, "noria-home", HOME_MOUNT, size_limit=where.disk)
    # KFP's launcher works in our container, and hands on what it finds below /tmp: it sees the same volume.
    kubernetes.empty_dir_mount(task, "noria-tmp", TMP_MOUNT, size_limit=where.scratch)
    if where.signs:
        kubernetes.use_secret_as_volume(task, SIGNING_SECRET, mount_path=SIGNING_MOUNT)
    return task
