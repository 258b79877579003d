"""Stage: an InferenceService as the place where a champion serves, which a release changes before the ledger."""

from __future__ import annotations

import http.client
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cluster.api import Api, connect
from cluster.diagnosis import diagnose
from cluster.inference_service import Manifest, digest_of, holds, parse_overlay, render, source_of, uid_of
from cluster.lease import Held, Pace, hold
from cluster.objects import read
from cluster.permissions import SERVICES
from cluster.rollout import read_service, wait_until_rolled_out
from noria.errors import ClusterError, ServingError, UsageError
from noria.ml.progress import Progress
from noria.steps.served import TIMEOUT_SECONDS
from noria.steps.workspace import Workspace

LOOK_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class KServe:
    """InferenceServices in one namespace; `address_of` says where a bundle can be fetched from."""

    api: Api
    address_of: Callable[[str], str]
    overlay: Manifest
    seconds: float  # until a bundle has to serve
    progress: Progress
    pace: Pace = field(default_factory=Pace)
    look: float = LOOK_SECONDS

    @contextmanager
    def turn(self, task: str, who: str) -> Iterator[KServeTurn]:
        """The turn for a task; ConflictError says who has it already."""
        with _ended_in_order(), hold(self.api, f"noria-{task}", who, self.pace) as held:
            turn = KServeTurn(stage=self, task=task, held=held)
            yield turn
            held.note = turn.served or held.note  # not reached where the release failed


@dataclass(kw_only=True)
class KServeTurn:
    """The right to change a task's InferenceService; `served` is the object that came up in this turn, as JSON."""

    stage: KServe
    task: str
    held: Held
    served: str = ""
    told: str = ""

    def bring_up(self, bundle: str, *, plan: str) -> None:
        """Apply the object that names the bundle, unless it is there, and wait until its pods are there as well."""
        stage, uri = self.stage, self.stage.address_of(bundle)
        wanted, live = self._render(bundle, plan), self._live()
        changed = live is None or not holds(live, wanted)
        if changed:
            self.held.check()
            stage.progress(f"InferenceService {self.task} is to serve {bundle[:12]}", None)
            stage.api.apply(SERVICES, self.task, wanted)
        wait_until_rolled_out(stage.api, self.task, uri, seconds=stage.seconds, pause=stage.look, hear=self._hear)
        self.held.check()
        if changed or self._noted(bundle) is None:
            self.served = msgspec.json.encode(wanted).decode()

    def reach(self) -> http.client.HTTPConnection:
        """A new connection to the Service; ServingError where KServe has given it no address over HTTP."""
        service = read_service(self.stage.api, self.task)
        default = f"http://{self.task}-predictor.{self.stage.api.namespace}.svc"
        address = (service.status.address.url if service else "") or default
        parts = urlsplit(address)
        if parts.scheme != "http" or not parts.hostname:
            raise ServingError(f"InferenceService {self.task} is at {address}: expected http://host within the cluster")
        return http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_SECONDS)

    def explain(self) -> str:
        """What Kubernetes tells of the object and its pods."""
        try:
            live = self._live()
        except ClusterError as error:
            return f"Kubernetes tells nothing: {error}"
        return diagnose(self.stage.api, self.task, source_of(live) if live else "")

    def put_back(self, bundle: str, champion: str) -> bool:
        """Apply the champion's object as it was when it came up, or remove that of the bundle."""
        live = self._live()
        if live is None or digest_of(live) != bundle:
            return False
        self.held.check()
        if champion:
            self.stage.api.apply(SERVICES, self.task, self._noted(champion) or self._render(champion, ""))
        else:
            self.stage.api.delete(SERVICES, self.task, uid=uid_of(live))
        return True

    def _hear(self, missing: str) -> None:
        self.held.check()
        if missing != self.told:
            self.told = missing
            self.stage.progress(f"InferenceService {self.task}: {missing}", None)

    def _render(self, bundle: str, plan: str) -> Manifest:
        stage = self.stage
        return render(self.task, stage.api.namespace, bundle, stage.address_of(bundle), plan, stage.overlay)

    def _noted(self, bundle: str) -> Manifest | None:
        """The bundle's object as it was applied when it came up, if the holder before has left that."""
        try:
            noted = msgspec.json.decode(self.held.note or "{}", type=dict[str, Any])
        except msgspec.DecodeError:
            return None
        same = (digest_of(noted), source_of(noted)) == (bundle, self.stage.address_of(bundle))
        return noted if same else None

    def _live(self) -> Manifest | None:
        found = self.stage.api.get(SERVICES, self.task)
        return None if found is None else read(found, dict[str, Any])


def stage_of(workspace: Workspace, progress: Progress) -> KServe | None:
    """The stage that the settings name; None where predictors follow the ledger themselves."""
    serving = workspace.settings.serving
    if serving.way == "ledger":
        return None
    if not workspace.settings.objects.startswith("s3://"):
        raise UsageError(
            f"NORIA_SERVING=kserve with NORIA_OBJECTS={workspace.settings.objects}: no pod can fetch a bundle from "
            "there; expected s3://bucket/prefix"
        )
    return KServe(
        api=connect(serving.namespace),
        address_of=lambda digest: workspace.store.uri(f"bundles/{digest}"),
        overlay=parse_overlay(serving.overlay),
        seconds=serving.seconds,
        progress=progress,
    )


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM, by which a pod is ended, run what puts things back; Kubernetes leaves half a minute for that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt that
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
