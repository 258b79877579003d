"""Telling: all that a person would look up on the cluster after a failure, the likeliest causes first."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from cluster_place import Spaces
from kube import KUBECTL, Object

LINES = 40
HINTS = {
    "ErrImagePull": "images",
    "ImagePullBackOff": "images",
    "ErrImageNeverPull": "images",
    "InvalidImageName": "the name in NORIA_IMAGE or in the chart's values",
    "CreateContainerConfigError": "`make secrets ENV=dev`: a Secret or ConfigMap that it names is not there",
    "Unschedulable": "the node is too small for what is asked for, or full: `kubectl describe nodes`",
}
IMAGES = (
    "`make images images-load`: the image is not on the node, and nothing is pulled. Kind: "
    "`docker exec <cluster>-control-plane crictl images | grep noria`"
)
STUCK_SECONDS = 240.0
OF_RUN = "workflows.argoproj.io/workflow"  # a label of the pods of a run
CONTROLLERS = (("kserve", "deployment/kserve-controller-manager", "manager"),)


def describe_cluster(spaces: Spaces | None = None) -> str:
    """What is not well, then the pods, events, conditions and last lines of all namespaces concerned."""
    spaces = spaces or Spaces.named()
    code, _, error = _run("get", "--raw", "/readyz")
    if code:
        said = error.splitlines() or ["it said nothing"]
        return f"The cluster of KUBECONFIG does not answer: {said[-1]}"
    namespaces = list(dict.fromkeys((*spaces.ours, spaces.pipelines, *_of_kfp())))
    pods = [pod for space in namespaces for pod in _items("pods", space)]
    unwell = [pod for pod in pods if why_not_ready(pod)]
    parts = ["=== What is not well", *[f"{name_of(pod)}: {why_not_ready(pod)}" for pod in unwell]]
    parts += _workflows(spaces.pipelines)
    parts += _conditions("inferenceservices", spaces.serving)
    parts += [line for space in spaces.ours for line in _conditions("deployments", space)]
    parts = ["\n".join(parts)]
    for pod in unwell[-10:]:  # the newest are the last ones
        parts += _logs(pod)
    for namespace in namespaces:
        events = _tell(f"Events of {namespace}", "get", "events", "--sort-by=.lastTimestamp", _in(namespace))
        parts.append("\n".join(events.splitlines()[:2] + events.splitlines()[2:][-LINES:]))
        parts.append(_tell(f"Pods of {namespace}", "get", "pods", "--output=wide", _in(namespace)))
    for pod in (pod for pod in pods if pod not in unwell and (pod["metadata"]["namespace"] in spaces.ours)):
        parts += _logs(pod)
    for namespace, name, container in CONTROLLERS:
        words = ("logs", name, f"--container={container}", _in(namespace), f"--tail={LINES}")
        parts.append(_tell(f"{namespace}/{name}", *words))
    parts.append(_tell("Nodes", "describe", "nodes"))
    return "\n\n".join(parts)


def why_not_ready(pod: Object) -> str:
    """In words, with what to do where that is known; "" for one that is ready, or has ended well."""
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return ""
    found = [_waiting(one) for one in _containers(status)]
    for one in status.get("conditions", ()):
        if one["status"] != "True" and one.get("reason") == "Unschedulable":
            found.append(_with_hint("Unschedulable", one.get("message", "")))
        elif one["status"] != "True" and one["type"] == "Ready" and one.get("reason") != "PodCompleted":
            found.append(" ".join(filter(None, (one.get("reason"), one.get("message")))) or "not ready")
    if status.get("phase") == "Failed":
        found.append(" ".join(filter(None, ("failed", status.get("reason"), status.get("message")))))
    return "; ".join(filter(None, found))


@dataclass(kw_only=True)
class Stuck:
    """Pods that wait for what will not come by itself; a run of Kubeflow Pipelines would wait for them for ever."""

    spaces: Spaces
    seconds: float = STUCK_SECONDS
    since: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """An assertion about the first that has been waiting so long; a look that fails is none."""
        now, pods = time.monotonic(), _items("pods", self.spaces.pipelines)
        concerned = [pod for pod in pods if OF_RUN in pod["metadata"].get("labels", {})]  # and not Kubeflow's own
        concerned += [pod for space in self.spaces.ours for pod in _items("pods", space)]
        waiting = {name_of(pod): pod for pod in concerned if _reasons(pod) & set(HINTS) - {"Unschedulable"}}
        self.since = {name: self.since.get(name, now) for name in waiting}
        for name, first in self.since.items():
            assert now - first < self.seconds, f"{name} gets no further: {why_not_ready(waiting[name])}"


def name_of(pod: Object) -> str:
    return f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"


def _containers(status: Object) -> tuple[Object, ...]:
    return (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))


def _reasons(pod: Object) -> set[str]:
    states = [one.get("state", {}) for one in _containers(pod.get("status", {}))]
    return {state["waiting"].get("reason", "") for state in states if "waiting" in state}


def _waiting(container: Object) -> str:
    state = container.get("state", {})
    if waiting := state.get("waiting"):
        if waiting.get("reason") in ("PodInitializing", "ContainerCreating"):
            return ""
        told = _with_hint(waiting.get("reason", ""), waiting.get("message", ""))
        return f"container {container['name']} waits: {told}"
    ended = state.get("terminated", {})
    if ended.get("exitCode"):
        return f"container {container['name']} ended with {ended['exitCode']} {ended.get('reason', '')}".rstrip()
    return ""


def _with_hint(reason: str, message: str) -> str:
    hint = HINTS.get(reason, "")
    return f"{reason} {message}".strip() + (f" → {IMAGES if hint == 'images' else hint}" if hint else "")


def _of_kfp() -> list[str]:
    """Where Kubeflow Pipelines itself is."""
    found = _json("services", "--all-namespaces", "--field-selector=metadata.name=ml-pipeline")
    return [each["metadata"]["namespace"] for each in found]


def _workflows(namespace: str) -> Iterator[str]:
    """What Argo says about the steps that failed, in the newest runs."""
    for each in _items("workflows.argoproj.io", namespace)[-3:]:
        status = each.get("status", {})
        yield f"workflow {name_of(each)}: {status.get('phase', 'not begun')} {status.get('message', '')}".rstrip()
        for node in status.get("nodes", {}).values():
            if node.get("phase") in ("Failed", "Error", "Pending") and node.get("type") == "Pod":
                where = f"{node.get('displayName', '')} ({node.get('templateName', '')})"
                yield f"  {where}: {node['phase']} {node.get('message', '')}".rstrip()


def _conditions(kind: str, namespace: str) -> Iterator[str]:
    for each in _items(kind, namespace):
        meta = each["metadata"]
        bundle = meta.get("annotations", {}).get("noria.dev/bundle", "")
        yield f"{kind} {name_of(each)}{f', bundle {bundle}' if bundle else ''}:"
        for one in each.get("status", {}).get("conditions", ()):
            yield f"  {one['type']}={one['status']} {one.get('reason', '')} {one.get('message', '')}".rstrip()


def _logs(pod: Object) -> Iterator[str]:
    """The last lines of each container of a pod, and of the one before it where it began anew."""
    for one in _containers(pod.get("status", {})):
        where = (pod["metadata"]["name"], f"--container={one['name']}", _in(pod["metadata"]["namespace"]))
        title = f"{name_of(pod)} {one['name']}: {json.dumps(one.get('state', {}))}"
        yield _tell(title, "logs", *where, f"--tail={LINES}")
        if one.get("restartCount"):
            yield _tell(f"{title}, before", "logs", *where, f"--tail={LINES}", "--previous")


def _in(namespace: str) -> str:
    return f"--namespace={namespace}"


def _items(kind: str, namespace: str) -> list[Object]:
    return _json(kind, _in(namespace), "--sort-by=.metadata.creationTimestamp")


def _json(*words: str) -> list[Object]:
    """The objects; none where kubectl says anything else, for what is told here must not fail itself."""
    code, out, _ = _run("get", *words, "--output=json")
    try:
        found: list[Object] = json.loads(out)["items"] if code == 0 else []
    except (ValueError, KeyError):
        return []
    return found


def _tell(title: str, *words: str) -> str:
    _, out, error = _run(*words)
    return f"=== {title}\n{out}{error}"


def _run(*words: str) -> tuple[int, str, str]:
    try:
        done = subprocess.run([KUBECTL, *words], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", f"{error}\n"
    return done.returncode, done.stdout, done.stderr
