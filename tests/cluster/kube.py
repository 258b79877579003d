"""kubectl, as the tests on a cluster use it, and all that a person would look up after a failure."""

from __future__ import annotations

import json
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KUBECTL = shutil.which("kubectl") or str(Path(sys.executable).with_name("kubectl"))
OURS = ("noria", "noria-serving")
NAMESPACES = (*OURS, "kubeflow")
LINES = 40
Object = dict[str, Any]


def kubectl(*words: str, text: str = "", seconds: float = 300) -> str:
    """Run it; an assertion with what it said where it fails."""
    done = subprocess.run([KUBECTL, *words], input=text, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(words)} ended with {done.returncode}:\n{done.stderr}{done.stdout}"
    return done.stdout


def read(*words: str) -> Any:
    return json.loads(kubectl("get", *words, "--output=json"))


def wait_until(true: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(1)


@contextmanager
def forwarded(namespace: str, target: str, port: int) -> Iterator[str]:
    """An address on this machine that leads to a port of a Service or Deployment."""
    words = [KUBECTL, "port-forward", f"--namespace={namespace}", target, f":{port}"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], 60)[0], f"no way to {target} in {namespace} within 60 s"
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, f"no way to {target} in {namespace}: {line}{process.stdout.read()}"
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def describe_cluster() -> str:
    """Nodes, pods, events, conditions and the last lines of every container that is ours or a step's."""
    parts = [_tell("Nodes", "describe", "nodes")]
    for namespace in NAMESPACES:
        parts.append(_tell(f"Pods of {namespace}", "get", "pods", "--output=wide", f"--namespace={namespace}"))
        events = _tell(
            f"Events of {namespace}", "get", "events", "--sort-by=.lastTimestamp", f"--namespace={namespace}"
        )
        parts.append("\n".join(events.splitlines()[:2] + events.splitlines()[2:][-LINES:]))
    parts.append(_conditions())
    for namespace in OURS:
        parts += _logs(namespace, "")
    parts += _logs("kubeflow", "pipelines.kubeflow.org/v2_component=true")
    return "\n\n".join(parts)


def _tell(title: str, *words: str) -> str:
    done = subprocess.run([KUBECTL, *words], capture_output=True, text=True, timeout=60, check=False)
    return f"=== {title}\n{done.stdout}{done.stderr}"


def _conditions() -> str:
    lines = ["=== InferenceServices"]
    found = subprocess.run(
        [KUBECTL, "get", "inferenceservices", "--namespace=noria-serving", "--output=json"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if found.returncode:
        return f"{lines[0]}\n{found.stderr}"
    for each in json.loads(found.stdout)["items"]:
        meta, status = each["metadata"], each.get("status", {})
        lines.append(f"{meta['name']}: {meta.get('annotations', {}).get('noria.dev/bundle', 'no bundle')}")
        lines += [
            f"  {one['type']}={one['status']} {one.get('reason', '')} {one.get('message', '')}"
            for one in status.get("conditions", ())
        ]
    return "\n".join(lines)


def _logs(namespace: str, selector: str) -> Iterator[str]:
    """The last lines of each container of the pods there, and of the one before it where it began anew."""
    words = [KUBECTL, "get", "pods", f"--namespace={namespace}", f"--selector={selector}", "--output=json"]
    found = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    pods: list[Object] = json.loads(found.stdout)["items"] if found.returncode == 0 else []
    for pod in pods:
        status = pod.get("status", {})
        for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
            where = (pod["metadata"]["name"], f"--container={one['name']}", f"--namespace={namespace}")
            title = f"{namespace}/{where[0]} {one['name']}: {json.dumps(one.get('state', {}))}"
            yield _tell(title, "logs", *where, f"--tail={LINES}")
            if one.get("restartCount"):
                yield _tell(f"{title}, before", "logs", *where, f"--tail={LINES}", "--previous")
