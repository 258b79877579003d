"""Stage: an InferenceService as the place where a champion serves, which a release changes before the ledger."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cluster.api import Api, connect
from cluster.change import look, put_in_place, remove
from cluster.diagnosis import diagnose
from cluster.doors import Doors
from cluster.inference_service import Manifest, content_of, digest_of, is_leaving, parse_overlay, render, source_of
from cluster.lease import Held, Pace, hold
from cluster.rollout import wait_until_rolled_out
from noria.errors import ClusterError, UsageError
from noria.ml.progress import Progress
from noria.steps.workspace import Workspace

LOOK_SECONDS = 2.0
BRIEF = (3.0, 5.0)  # seconds to connect and to read, where a person waits for the answer


@dataclass(frozen=True, kw_only=True)
class KServe:
    """InferenceServices in one namespace; `address_of` says where a bundle can be fetched from."""

    api: Api
    address_of: Callable[[str], str]
    doors: Callable[[str, str], Doors] = Doors.of  # of a task's Service in a namespace
    overlay: Manifest
    seconds: float  # until a bundle has to serve
    progress: Progress
    pace: Pace = field(default_factory=Pace)
    look: float = LOOK_SECONDS

    @contextmanager
    def turn(self, task: str, who: str) -> Iterator[KServeTurn]:
        """The turn for a task; ConflictError says who has it already."""

        def hear(text: str) -> None:
            self.progress(text, None)

        with hold(self.api, f"noria-{task}", who, self.pace, hear=hear) as held:
            turn = KServeTurn(stage=self, task=task, held=held, doors=self.doors(task, self.api.namespace))
            yield turn
            held.note = turn.served or held.note  # not reached where the release failed


@dataclass(kw_only=True)
class KServeTurn:
    """The right to change a task's InferenceService; `served` is the object that came up in this turn, as JSON."""

    stage: KServe
    task: str
    held: Held
    doors: Doors
    served: str = ""
    told: str = ""

    def named(self) -> str:
        """The bundle that the object names; "" without one, in one that is not a release's, or that was deleted."""
        live = look(self.stage.api, self.task)
        return digest_of(live) if live is not None and not is_leaving(live) else ""

    def bring_up(self, bundle: str, *, plan: str) -> None:
        """Apply the object that names the bundle, unless it is there, and wait until its pods are there as well."""
        stage, uri = self.stage, self.stage.address_of(bundle)
        stage.progress(f"InferenceService {self.task} is to serve {bundle[:12]}", None)
        wanted = self._render(bundle, plan)
        changed = put_in_place(stage.api, self.task, wanted, check=self.held.check)
        how = {"seconds": stage.seconds, "pause": stage.look}
        wait_until_rolled_out(stage.api, self.task, uri, content=content_of(wanted), hear=self._hear, **how)
        self.held.check()
        if changed or self._noted(bundle) is None:
            self.served = msgspec.json.encode(wanted).decode()

    def reach(self) -> http.client.HTTPConnection:
        """A new connection to the Service; ServingError where no port of it takes one."""
        return self.doors.enter()

    def explain(self) -> str:
        """What Kubernetes tells of the object and its pods."""
        try:
            live = look(self.stage.api, self.task)
        except ClusterError as error:
            return f"Kubernetes tells nothing: {error}"
        return diagnose(self.stage.api, self.task, source_of(live) if live else "")

    def put_back(self, bundle: str, champion: str) -> bool:
        """Apply the champion's object as it was when it came up, or remove that of the bundle."""
        api, check = self.stage.api, self.held.check
        if not champion:
            return remove(api, self.task, bundle, check=check)
        wanted = self._noted(champion) or self._render(champion, "")
        return put_in_place(api, self.task, wanted, check=check, of_bundle=bundle)

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


def named_bundle(namespace: str, task: str) -> str:
    """The bundle that the task's InferenceService names, "" where none does; asked once, for somebody who waits."""
    live = look(connect(namespace, tries=1, timeouts=BRIEF), task)
    return digest_of(live) if live is not None else ""
