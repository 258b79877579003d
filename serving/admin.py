"""Admin: the management of models, on a port of its own that only operators reach."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from noria.errors import NoriaError
from serving.allowed import AllowedSources
from serving.call import Call
from serving.connection import Exchange
from serving.exchange import Request, refuse
from serving.hub import Hub
from serving.metrics import Metrics
from serving.model import ServedModel
from serving.names import check_name
from serving.options import Limits
from serving.refusal import RequestError
from serving.routes import Routes, dispatch, get, post
from serving.slot import Occupant, Slot

if TYPE_CHECKING:
    from serving.features.source import FeatureSource

log = logging.getLogger("serving")

T = TypeVar("T")
REPOSITORY = r"/v2/repository/models/(?P<model>[^/]+)"


class LoadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the bundle lies, and whether it becomes the one that answers by default or stands beside it."""

    source: str
    default: bool = True


class UnloadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version to let go, by its bundle's digest; all of them without one."""

    version: str | None = None


class Admin:
    """Lists, loads and unloads models. One change at a time, so that two operators cannot cross."""

    def __init__(
        self,
        hub: Hub,
        sources: AllowedSources,
        limits: Limits,
        metrics: Metrics,
        features: FeatureSource | None = None,
    ) -> None:
        self._hub = hub
        self._sources = sources
        self._limits = limits
        self._metrics = metrics
        self._features = features
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._read_load = msgspec.json.Decoder(LoadRequest).decode
        self._read_unload = msgspec.json.Decoder(UnloadRequest).decode
        self._routes = Routes(
            (
                get("index", "/v2/repository/index", self._index),
                post("index", "/v2/repository/index", self._index),
                post("load", REPOSITORY + "/load", self._load),
                post("unload", REPOSITORY + "/unload", self._unload),
            ),
            places="/v2/repository",
        )

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Answer, now or as soon as a model is loaded."""
        call = Call(request, exchange, self._metrics)
        if b"origin" in request.headers:
            # A browser says so wherever a page has asked: an operator's own programs do not.
            call.refuse(RequestError("found a request from a web page: the admin port expects none", 403))
            return
        dispatch(self._routes, self._hub, call)

    def _index(self, call: Call) -> None:
        call.say(
            [
                _describe(one, default=one is slot.occupant)
                for slot in self._hub.slots.values()
                for one in slot.occupants
            ]
        )

    def _load(self, call: Call) -> None:
        name = check_name(call.named["model"])
        wanted = _read(self._read_load, call.request.body or b"{}")
        if wanted.default:
            self._expect_free(name)
        self._sources.locate(wanted.source)
        task = asyncio.get_running_loop().create_task(self._load_and_seat(call, name, wanted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _load_and_seat(self, call: Call, name: str, wanted: LoadRequest) -> None:
        async with self._lock:
            try:
                model = await asyncio.to_thread(self._sources.load, name, wanted.source)
            except RequestError as error:
                call.refuse(error)
                return
            except NoriaError as error:
                self._metrics.count_load("refused")
                log.warning("bundle %s is refused: %s", wanted.source, error)
                call.answer(refuse(422, f"not loaded, what answered before still does: {error}"))
                return
            occupant = self._seat(model, default=wanted.default)
        log.info("model %s answers with bundle %s", name, model.digest)
        call.say(_describe(occupant, default=occupant is self._hub.slots[name].occupant))

    def _seat(self, model: ServedModel, *, default: bool) -> Occupant:
        slot = self._hub.slots.get(model.name)
        if slot is None:
            slot = Slot(model, self._limits, self._metrics, features=self._features)
            self._hub.add(slot)
        elif default:
            if slot.occupant.model.digest != model.digest:
                slot.remove(model.digest)
                slot.swap(model)
        else:
            slot.add(model)
        return self._hub.find(model.name, model.digest)

    def _expect_free(self, name: str) -> None:
        slot = self._hub.slots.get(name)
        if slot is not None and slot.follows:
            raise RequestError(
                f"model {name!r} follows the release ledger: promote or roll back there; only versions beside the "
                'champion are loaded ("default": false) and unloaded here',
                409,
            )

    def _unload(self, call: Call) -> None:
        name = check_name(call.named["model"])
        version = _read(self._read_unload, call.request.body or b"{}").version
        occupant = self._hub.find(name, version)
        slot = self._hub.slots[name]
        if version is None or occupant is slot.occupant:
            self._expect_free(name)
        if version is None:
            self._hub.remove(name)
        elif not slot.remove(occupant.model.digest):
            if len(slot.occupants) > 1:
                raise RequestError(f"version {occupant.model.version} answers by default: load another one first", 409)
            self._hub.remove(name)
        log.info("model %s version %s answers no more", name, version or "(all)")
        call.say({"name": name, "unloaded": True})


def _describe(occupant: Occupant, *, default: bool) -> dict[str, object]:
    model = occupant.model
    return {
        "name": model.name,
        "version": model.version,
        "state": "READY",
        "bundle": model.digest,
        "task": model.facts.task,
        "default": default,
    }


def _read(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"request body: {error}") from error
