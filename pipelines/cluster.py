"""Cluster: the pipeline on Kubeflow Pipelines: published once for each content, run, scheduled, watched and ended."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import ssl
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

from noria.errors import ConflictError, UsageError
from noria.settings import KfpSettings
from pipelines.kfp_errors import FORWARD, asking
from pipelines.kfp_token import TokenFile
from pipelines.run_tasks import parse_tasks
from pipelines.run_view import RunView, read_run

CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
EQUALS = 1  # as KFP's filters name their operations
PAGE = 100
NO_LOG = (400, 404, 500)  # KFP's answers for a pod that is gone
# The API server has the first of these, and KFP's user interface, which hands on all else, the second.
LOGS = (
    "/apis/v1alpha1/runs/{run}/nodes/{pod}/log",
    "/k8s/pod/logs?podname={pod}&runid={run}&podnamespace={namespace}",
)


@dataclass(frozen=True, kw_only=True)
class Health:
    """`release` as KFP names it, "unknown" where it does not; `multi_user`: each namespace has runs of its own."""

    release: str
    multi_user: bool


@dataclass(frozen=True, kw_only=True)
class Published:
    """A version of a pipeline as KFP keeps it; `new` where this was what uploaded it."""

    pipeline: str
    version: str
    name: str
    new: bool


class Kubeflow:
    """Kubeflow Pipelines, asked through its own client. Every question raises ClusterError, and says what was asked."""

    def __init__(self, settings: KfpSettings, *, steps: Sequence[str], read_seconds: float = READ_SECONDS) -> None:
        if not settings.host:
            raise UsageError(
                "no cluster is named: set NORIA_KFP to the address of Kubeflow Pipelines, such as "
                f"http://localhost:8888 after `{FORWARD.format(namespace=settings.namespace)}`"
            )
        self.settings = settings
        self._steps = tuple(steps)
        self._read_seconds = read_seconds

    @cached_property
    def _client(self) -> Any:
        """KFP's client; it prints, warns and waits for ever by itself, and does none of that here."""
        import kfp
        import urllib3

        with _silently():
            client = kfp.Client(
                host=self.settings.host,
                # With a name here it does not ask at once, five times, with five seconds between; `health` does.
                namespace=f"{self.settings.namespace}-unasked",
                ssl_ca_cert=_certificates(self.settings.ca_file) if self.settings.ca_file else None,
                credentials=TokenFile(self.settings.token_file) if self.settings.token_file else None,
            )
        # What fails is told once, by whoever asked; a try that is made again is nothing to warn of.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        rest = client._run_api.api_client.rest_client
        rest.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(total=2, connect=1, read=1)
        rest.request = _hurried(rest.request, self._read_seconds)
        client._context_setting["namespace"] = ""
        return client

    @cached_property
    def health(self) -> Health:
        """What answers there. Every other question begins with this one, for it knows whose runs are asked for."""
        with asking(self.settings, "say what it is"):
            found = json.loads(self._get("/apis/v2beta1/healthz"))
            health = Health(release=str(found.get("tag_name", "unknown")), multi_user=found["multi_user"])
        self._client._context_setting["namespace"] = self.settings.namespace if health.multi_user else ""
        return health

    @property
    def client(self) -> Any:
        """KFP's own client, set up for the namespace whose runs are asked for."""
        return self._client if self.health else None

    def publish(self, text: str, *, pipeline: str, version: str) -> Published:
        """Upload the compiled pipeline unless that version is there: equal names are equal contents."""
        pipeline_id = self._find_pipeline(pipeline) or self._make_pipeline(pipeline)
        if version_id := self._find_version(pipeline_id, version):
            return Published(pipeline=pipeline_id, version=version_id, name=version, new=False)
        version_id = self._upload(text, pipeline_id, version)
        return Published(pipeline=pipeline_id, version=version_id, name=version, new=True)

    def submit(self, published: Published, *, experiment: str, name: str, parameters: Mapping[str, Any]) -> RunView:
        """Start a run."""
        client = self.client
        where = self.experiment(experiment)
        with asking(self.settings, f"run {name!r}"), _silently():
            run = client.run_pipeline(
                where, name, params=dict(parameters), pipeline_id=published.pipeline, version_id=published.version,
                service_account=self.settings.service_account or None,
            )  # fmt: skip
            return read_run(run, self._steps)

    def run(self, run_id: str) -> RunView:
        """How a run stands now; NotThereError where there is none."""
        api = self.client._run_api.api_client
        # KFP tells the steps only of a FULL view after 2.17, and before it knew no views, where its server heeds no
        # parameter that it does not know. Its client knows none: it neither asks for one nor keeps what comes.
        with asking(self.settings, f"show run {run_id}"):
            text = self._get(f"/apis/v2beta1/runs/{quote(run_id, safe='')}?view=FULL")
            tasks = parse_tasks(json.loads(text))
            return read_run(api.deserialize(SimpleNamespace(data=text), "V2beta1Run"), self._steps, tasks)

    def runs(self, *, experiment: str = "", count: int = PAGE, steps: bool = False) -> tuple[RunView, ...]:
        """The newest runs, newest first, of one experiment or of all; none where there is no such experiment.

        With `steps` they have theirs as far as KFP's list tells them; `run` tells them, of one run at a time.
        """
        client = self.client
        with asking(self.settings, "list the runs"):
            where = self.find_experiment(experiment) if experiment else ""
            if experiment and not where:
                return ()
            if not steps:
                found = client.list_runs(page_size=count, sort_by="created_at desc", experiment_id=where or None)
                return tuple(read_run(run, ()) for run in found.runs or ())
            return tuple(self._runs_with_steps(where, count))

    def _runs_with_steps(self, experiment: str, count: int) -> Iterator[RunView]:
        """After 2.17 a FULL list comes in pages that KFP may make shorter than they were asked for."""
        api, place = self._client._run_api.api_client, {"experiment_id": experiment, "namespace": self._namespace}
        token = ""
        while count > 0:
            query = {"page_size": count, "sort_by": "created_at desc", "view": "FULL", "page_token": token, **place}
            page = json.loads(self._get(f"/apis/v2beta1/runs?{urlencode({k: v for k, v in query.items() if v})}"))
            listed, token = page.get("runs") or [], page.get("next_page_token", "")
            for told in listed:
                tasks = parse_tasks(told)
                run = api.deserialize(SimpleNamespace(data=json.dumps(told)), "V2beta1Run")
                names = self._steps if tasks or (run.run_details and run.run_details.task_details) else ()
                yield read_run(run, names, tasks)
            count -= len(listed)
            if not listed or not token:
                return

    def cancel(self, run_id: str) -> None:
        """End a run; its pods get the signal."""
        client = self.client
        with asking(self.settings, f"end run {run_id}"):
            client.terminate_run(run_id)

    def log(self, run_id: str, pod: str) -> str | None:
        """What the pod of a step wrote; None where KFP has it no more, or not yet."""
        from kfp.client.client import kfp_server_api

        with asking(self.settings, f"show the log of {pod}"):
            for address in LOGS if self.health else ():
                try:
                    text = self._get(address.format(run=run_id, pod=pod, namespace=self.settings.namespace))
                except kfp_server_api.ApiException as error:
                    if error.status not in NO_LOG:
                        raise
                else:
                    if not text.lstrip().lower().startswith("<!doctype html"):  # the user interface's, for all unknown
                        return text
        return None

    def address_of(self, run_id: str) -> str:
        """The page about a run in KFP's user interface."""
        return f"{self.settings.host}/#/runs/details/{run_id}"

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, made where there is none."""
        with asking(self.settings, f"make experiment {name!r}"), _silently():
            made = self._client.create_experiment(name, namespace=self._namespace or None)
            return str(made.experiment_id)

    def find_experiment(self, name: str) -> str:
        """The id of the experiment of that name, "" where there is none."""
        found = self.client._experiment_api.experiment_service_list_experiments(
            filter=_named(name), namespace=self._namespace
        )
        return str(found.experiments[0].experiment_id) if found.experiments else ""

    @property
    def _namespace(self) -> str:
        return self.settings.namespace if self.health.multi_user else ""

    def _get(self, path: str) -> str:
        answer = self._client._run_api.api_client.call_api(
            path, "GET", auth_settings=["Bearer"], _preload_content=False, _return_http_data_only=True
        )
        data: bytes = answer.data
        return data.decode(errors="replace")

    def _find_pipeline(self, name: str) -> str:
        pipelines = self.client._pipelines_api
        with asking(self.settings, f"look for pipeline {name}"):
            found = pipelines.pipeline_service_list_pipelines(filter=_named(name), namespace=self._namespace)
            return str(found.pipelines[0].pipeline_id) if found.pipelines else ""

    def _make_pipeline(self, name: str) -> str:
        from kfp.client.client import kfp_server_api

        wanted = kfp_server_api.V2beta1Pipeline(display_name=name, name=name, namespace=self._namespace or None)
        try:
            with asking(self.settings, f"make pipeline {name}"):
                return str(self.client._pipelines_api.pipeline_service_create_pipeline(wanted).pipeline_id)
        except ConflictError:  # somebody makes the same at this moment
            return self._find_pipeline(name)

    def _find_version(self, pipeline_id: str, version: str) -> str:
        with asking(self.settings, f"look for version {version} of the pipeline"):
            found = self.client.list_pipeline_versions(pipeline_id, page_size=1, filter=_named(version))
            return str(found.pipeline_versions[0].pipeline_version_id) if found.pipeline_versions else ""

    def _upload(self, text: str, pipeline_id: str, version: str) -> str:
        try:
            with (
                tempfile.TemporaryDirectory() as folder,
                asking(self.settings, f"take version {version} of the pipeline"),
                _silently(),
            ):
                package = Path(folder) / "pipeline.yaml"
                package.write_text(text)
                made = self.client.upload_pipeline_version(str(package), version, pipeline_id=pipeline_id)
                return str(made.pipeline_version_id)
        except ConflictError:  # somebody uploads the same at this moment
            return self._find_version(pipeline_id, version)


def _named(name: str) -> str:
    """KFP's filter for what has this very name."""
    return json.dumps({"predicates": [{"operation": EQUALS, "key": "display_name", "stringValue": name}]})


def _certificates(path: Path) -> str:
    """The path as it is; UsageError where no certificate can be read there."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # of the file; ssl's own are of this kind, too
        raise UsageError(
            f"NORIA_KFP_CA_FILE names {path}, of which no certificates can be read ({error}): expected a file of them "
            "in PEM"
        ) from error
    return str(path)


@contextlib.contextmanager
def _silently() -> Any:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # kfp's own, about its coming releases
        yield


def _hurried(request: Callable[..., Any], read_seconds: float) -> Callable[..., Any]:
    """A request that ends in time; the generated client has no time limit that holds for all questions."""

    def ask(*words: Any, _request_timeout: Any = None, **more: Any) -> Any:
        return request(*words, _request_timeout=_request_timeout or (CONNECT_SECONDS, read_seconds), **more)

    return ask
