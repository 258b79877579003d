"""Under load: a pod that asks a predictor while something else happens, and what became of its requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from cluster_place import Place, hooks
from kube import kubectl, read, wait_until

NAME = "noria-load"
SCRIPT = Path(__file__).with_name("cluster_load.py")
BEGIN_SECONDS, END_SECONDS = 300.0, 180.0
STOP = "open('/tmp/stop', 'w').close()"


class Load:
    """The pod; its last line says how its requests fare."""

    def __init__(self, namespace: str) -> None:
        self._pod = ("pod", NAME, f"--namespace={namespace}")
        self._where = f"--namespace={namespace}"

    @property
    def phase(self) -> str:
        return str(read(*self._pod)["status"]["phase"])

    @property
    def tally(self) -> dict[str, Any]:
        lines = self._log(tail=1).splitlines()
        found: dict[str, Any] = json.loads(lines[0]) if lines and lines[0].startswith("{") else {"answers": 0}
        return found

    def begin(self) -> None:
        """Wait for its first answers."""
        wait_until(self._begun, "the clients have their first answers", BEGIN_SECONDS, self._told)

    def hear(self, more: int) -> None:
        """Wait for so many more answers."""
        wanted = self.tally["answers"] + more
        wait_until(lambda: self.tally["answers"] >= wanted, f"{more} more answers came", BEGIN_SECONDS, self._told)

    def end(self) -> dict[str, Any]:
        """Let the clients come to an end; returns what they saw."""
        kubectl("exec", NAME, self._where, "--", "python", "-c", STOP)
        wait_until(lambda: self.tally.get("ended"), "the clients came to their end", END_SECONDS, self._told)
        return self.tally

    def _begun(self) -> bool:
        assert self.phase != "Failed", f"the clients ended: {self._log(tail=20)}"
        return bool(self.tally["answers"])

    def _told(self) -> str:
        return f"{self.phase}: {self._log(tail=5)}"

    def _log(self, *, tail: int) -> str:
        if self.phase == "Pending":
            return ""
        return kubectl("logs", NAME, self._where, f"--tail={tail}")


@contextmanager
def under_load(place: Place, task: str, *, rate: float = 20.0, clients: int = 4) -> Iterator[Load]:
    """Clients of that Service for as long as this lasts, in the pod that `helm test` would run."""
    values = {**place.values, "predictors": {task: {"minReplicas": 1, "maxReplicas": 1}}}
    objects = [_for_load(each, f"--clients={clients}", f"--rate={rate}") for each in hooks(values)]
    _delete(place)
    kubectl("apply", "--filename=-", text=yaml.safe_dump_all(objects))
    try:
        load = Load(place.spaces.own)
        load.begin()
        yield load
    finally:
        _delete(place)


def _for_load(hook: dict[str, Any], *words: str) -> dict[str, Any]:
    """The hook's pod or its files, under a name of its own, with our script beside theirs."""
    meta = {name: value for name, value in hook["metadata"].items() if name != "annotations"}
    changed = {**hook, "metadata": {**meta, "name": NAME}}
    if hook["kind"] == "ConfigMap":
        return {**changed, "data": {**hook["data"], SCRIPT.name: SCRIPT.read_text()}}
    spec = hook["spec"]
    (container,) = spec["containers"]
    name, _, url = container["args"][0].partition("=")
    asking = {**container, "command": ["python", f"/questions/{SCRIPT.name}"], "args": [name, url, *words]}
    volumes = [{**each, "configMap": {"name": NAME}} if "configMap" in each else each for each in spec["volumes"]]
    return {**changed, "spec": {**spec, "containers": [asking], "volumes": volumes}}


def _delete(place: Place) -> None:
    words = (f"--namespace={place.spaces.own}", "--ignore-not-found", "--grace-period=1")
    kubectl("delete", "pod,configmap", NAME, *words)


def tell(what: str, tally: dict[str, Any]) -> None:
    """Print the figures, for whoever reads them with `pytest -s` or `-rP`."""
    share = tally["answers"] / tally["seconds"] if tally["seconds"] else 0.0
    print(  # noqa: T201
        f"{what}: {tally['answers']} answers in {tally['seconds']:.0f} s ({share:.1f} in a second), "
        f"{tally['lost']} lost, {tally['wrong']} wrong, half within {tally['p50_ms']} ms, "
        f"99 % within {tally['p99_ms']} ms, {tally['connected_again']} connections made again"
    )
