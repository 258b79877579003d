"""What Kubeflow Pipelines does with a compiled pipeline: a fresh pod for each step, driver, cache and launcher.

Written after its sources (backend/src/v2: driver, component/launcher_v2.go, cacheutils): a step's artifacts lie in
KFP's own bucket, at addresses that KFP gives. The launcher copies inputs into the pod, runs the step's command, uploads
what lies where each output belongs, and refuses every other address. The steps' processes are real; the bucket is a
folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
BUCKET = "minio://mlpipeline"
CONDITION = re.compile(r"inputs\.parameter_values\['([^']+)'\] == '([^']*)'")
# In a pod the folder /minio is a volume of its own; here it is a folder of the test, of which kfp is told.
IN_A_POD = """
import kfp.dsl.types.artifact_types as types
types._MINIO_LOCAL_MOUNT_PREFIX = {mount!r} + "/"
"""


class LauncherError(Exception):
    """KFP's launcher refuses, and the step has failed."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """An artifact as KFP's metadata store has it; the cache goes by `name`."""

    name: str
    uri: str
    type: dict[str, str]
    metadata: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        return {"artifacts": [{"name": self.name, "uri": self.uri, "type": self.type, "metadata": self.metadata}]}


@dataclass(frozen=True, kw_only=True)
class Outputs:
    parameters: dict[str, Any]
    artifacts: dict[str, Recorded]


@dataclass(kw_only=True)
class Run:
    """What became of a run: the states of its steps, in the order in which they ended, and what they wrote."""

    name: str
    states: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Outputs] = field(default_factory=dict)

    def steps(self, state: str) -> set[str]:
        return {step for step, found in self.states.items() if found == state}


@dataclass(kw_only=True)
class KfpWorld:
    """A cluster's KFP: `folder` is what it keeps and where its pods live, `environment` what each pod is given."""

    folder: Path
    environment: Mapping[str, str]
    cache: dict[str, Outputs] = field(default_factory=dict)
    names_by_key: bool = False  # an artifact's name is that of its output, as without ML Metadata, and not its number
    recorded: int = 0
    runs: int = 0

    def run(self, package: str, arguments: Mapping[str, Any]) -> Run:
        """Run the package to its end; a step that failed ends it, and is told by its state."""
        spec = next(iter(yaml.safe_load_all(package)))
        self.runs += 1
        run = Run(name=f"run-{self.runs}")
        defaults = spec["root"]["inputDefinitions"]["parameters"]
        given = {name: one["defaultValue"] for name, one in defaults.items() if "defaultValue" in one}
        try:
            self._run_dag(spec, run, spec["root"], Outputs(parameters={**given, **arguments}, artifacts={}))
        except LauncherError as error:
            run.logs["launcher"] = str(error)
        return run

    def read(self, artifact: Recorded) -> bytes:
        """What the user interface shows of an artifact."""
        return self._blob(artifact.uri).read_bytes()

    def _run_dag(self, spec: dict[str, Any], run: Run, component: dict[str, Any], given: Outputs) -> None:
        done: dict[str, Outputs] = {}
        waiting = dict(component["dag"]["tasks"])
        while waiting:
            name = next(one for one, task in waiting.items() if not set(task.get("dependentTasks", ())) & set(waiting))
            task = waiting.pop(name)
            inputs = _resolve(task.get("inputs", {}), given, done)
            inner = spec["components"][task["componentRef"]["name"]]
            if not _holds(task.get("triggerPolicy", {}).get("condition", ""), inputs):
                run.states[task["taskInfo"]["name"]] = "skipped"
            elif "dag" in inner:
                self._run_dag(spec, run, inner, inputs)
            else:
                done[name] = self._run_task(spec, run, task, inner, inputs)

    def _run_task(
        self, spec: dict[str, Any], run: Run, task: dict[str, Any], component: dict[str, Any], inputs: Outputs
    ) -> Outputs:
        step = task["taskInfo"]["name"]
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        key = _fingerprint(container, inputs)
        if task.get("cachingOptions", {}).get("enableCache") and key in self.cache:
            run.states[step], run.outputs[step] = "cached", self.cache[key]
            return self.cache[key]
        run.states[step] = "failed"
        pod = self.folder / "pods" / run.name / step
        outputs = self._launch(run, step, pod, container, component, inputs)
        run.states[step], run.outputs[step] = "done", outputs
        self.cache[key] = outputs
        shutil.rmtree(pod)  # nothing of a pod outlives it
        return outputs

    def _launch(
        self, run: Run, step: str, pod: Path, container: dict[str, Any], component: dict[str, Any], inputs: Outputs
    ) -> Outputs:
        mount, results = pod / "minio", pod / "kfp_outputs"
        results.mkdir(parents=True)
        for artifact in inputs.artifacts.values():
            _copy(self._blob(artifact.uri), _local(mount, artifact.uri))
        wanted = component.get("outputDefinitions", {})
        root = f"{BUCKET}/v2/artifacts/noria-training/{run.name}/{step}"
        made = {
            name: Recorded(name="", uri=f"{root}/{name}", type=one["artifactType"], metadata={})
            for name, one in wanted.get("artifacts", {}).items()
        }
        for artifact in made.values():
            _local(mount, artifact.uri).parent.mkdir(parents=True, exist_ok=True)
        told = self._execute(run, step, pod, container, _executor_input(inputs, made, wanted, results))
        artifacts = {
            name: self._upload(step, name, mount, artifact, told.get("artifacts", {}).get(name, {}))
            for name, artifact in made.items()
        }
        parameters = told.get("parameterValues", {})
        missing = set(wanted.get("parameters", {})) - set(parameters)
        if missing:
            raise LauncherError(f"{step}: failed to read output parameters {sorted(missing)}")
        return Outputs(parameters=parameters, artifacts=artifacts)

    def _execute(
        self, run: Run, step: str, pod: Path, container: dict[str, Any], executor_input: dict[str, Any]
    ) -> dict[str, Any]:
        (pod / "site").mkdir()
        (pod / "site" / "sitecustomize.py").write_text(IN_A_POD.format(mount=str(pod / "minio")))
        (pod / "tmp").mkdir()
        path = f"{pod / 'site'}:{self.environment.get('PYTHONPATH', '')}"
        own = {"PYTHONPATH": path, "NORIA_HOME": str(pod / "home"), "TMPDIR": str(pod / "tmp")}
        words = [*container["command"], *container["args"]]
        command = [word.replace("{{$}}", json.dumps(executor_input)) for word in words]
        search = f"{Path(sys.executable).parent}:{self.environment['PATH']}"
        done = subprocess.run(
            command, cwd=ROOT, env={**self.environment, **own, "PATH": search}, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        run.logs[step] = done.stdout
        if done.returncode:
            raise LauncherError(f"{step}: exit status {done.returncode}")
        told: dict[str, Any] = json.loads(Path(executor_input["outputs"]["outputFile"]).read_text())
        return told

    def _upload(self, step: str, key: str, mount: Path, artifact: Recorded, told: dict[str, Any]) -> Recorded:
        """Send what lies where the artifact belongs to the bucket, and record it with what the step said of it."""
        (said,) = told.get("artifacts", [{}])
        uri, metadata = said.get("uri") or artifact.uri, said.get("metadata", {})
        if artifact.type["schemaTitle"] == "system.Metrics":
            wrong = [name for name, value in metadata.items() if not isinstance(value, int | float)]
            if wrong:
                raise LauncherError(f"{step}: metrics {wrong} are no numbers")
        if not uri.startswith(f"{BUCKET}/v2/artifacts/"):
            raise LauncherError(f"{step}: URI {uri} does not have expected bucket prefix {BUCKET}/v2/artifacts/")
        if _local(mount, uri).exists():
            _copy(_local(mount, uri), self._blob(uri))
        self.recorded += 1
        name = key if self.names_by_key else str(self.recorded)
        return Recorded(name=name, uri=uri, type=artifact.type, metadata=metadata)

    def _blob(self, uri: str) -> Path:
        if not uri.startswith(f"{BUCKET}/"):
            raise LauncherError(f"failed to open the bucket of {uri}: there is no session for it")
        return self.folder / "bucket" / uri.removeprefix(f"{BUCKET}/")


def _resolve(wanted: dict[str, Any], given: Outputs, done: dict[str, Outputs]) -> Outputs:
    """A task's inputs: constants, those of the DAG that it stands in, and what the tasks before it put out."""
    parameters, artifacts = {}, {}
    for name, source in wanted.get("parameters", {}).items():
        if "runtimeValue" in source:
            parameters[name] = source["runtimeValue"]["constant"]
        elif "componentInputParameter" in source:
            parameters[name] = given.parameters[source["componentInputParameter"]]
        else:
            found = source["taskOutputParameter"]
            parameters[name] = done[found["producerTask"]].parameters[found["outputParameterKey"]]
    for name, source in wanted.get("artifacts", {}).items():
        if "componentInputArtifact" in source:
            artifacts[name] = given.artifacts[source["componentInputArtifact"]]
        else:
            found = source["taskOutputArtifact"]
            artifacts[name] = done[found["producerTask"]].artifacts[found["outputArtifactKey"]]
    return Outputs(parameters=parameters, artifacts=artifacts)


def _holds(condition: str, inputs: Outputs) -> bool:
    if not condition:
        return True
    found = CONDITION.fullmatch(condition)
    assert found, f"a condition of another kind: {condition}"
    return bool(inputs.parameters[found[1]] == found[2])


def _fingerprint(container: dict[str, Any], inputs: Outputs) -> str:
    """What KFP's cache goes by: the image and its words, the parameters' values, and the artifacts' names."""
    names = {name: artifact.name for name, artifact in inputs.artifacts.items()}
    words = [container["image"], container["command"], container["args"], inputs.parameters, names]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def _executor_input(
    inputs: Outputs, made: Mapping[str, Recorded], wanted: dict[str, Any], results: Path
) -> dict[str, Any]:
    parameters = {name: {"outputFile": str(results / name)} for name in wanted.get("parameters", {})}
    return {
        "inputs": {
            "parameterValues": inputs.parameters,
            "artifacts": {name: artifact.describe() for name, artifact in inputs.artifacts.items()},
        },
        "outputs": {
            "parameters": parameters,
            "artifacts": {name: artifact.describe() for name, artifact in made.items()},
            "outputFile": str(results / "output_metadata.json"),
        },
    }


def _local(mount: Path, uri: str) -> Path:
    return mount / uri.removeprefix("minio://")


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise LauncherError(f"failed to download {source}: there is no such object")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
