"""App: addresses of the data port, and who answers at each of them."""

from __future__ import annotations

from typing import Protocol

from noria import __version__
from serving.answering import Answering
from serving.call import Call
from serving.connection import Exchange
from serving.documents import Documents
from serving.exchange import Request, Response
from serving.features.telling import describe_service
from serving.hub import Hub
from serving.metrics import CONTENT_TYPE, Metrics
from serving.options import Limits
from serving.protocol import describe_inputs, describe_outputs
from serving.routes import Routes, dispatch, get, post
from serving.slot import Occupant

MODEL = r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?"
EXTENSIONS = ("binary_tensor_data",)


class Standing(Protocol):
    """What the app asks of the server around it."""

    draining: bool


class App:
    """Every request gets an answer in JSON, whatever it is and whatever the model does."""

    def __init__(
        self, hub: Hub, limits: Limits, metrics: Metrics, standing: Standing, *, with_page: bool = True
    ) -> None:
        self._hub = hub
        self._metrics = metrics
        self._standing = standing
        answering = Answering(limits)
        documents = Documents(hub, limits, with_page=with_page)
        self._routes = Routes(
            (
                post("v2", MODEL + "/infer", ask=answering.infer),
                post("v1", r"/v1/models/(?P<model>[^/:]+):predict", ask=answering.predict),
                get("live", "/v2/health/live", self._live),
                get("ready", "/v2/health/ready", self._ready),
                get("model_ready", MODEL + "/ready", ask=self._model_ready),
                get("model", MODEL, ask=self._model),
                get("models", "/v1/models", self._v1_models),
                get("v1_model", r"/v1/models/(?P<model>[^/:]+)", ask=self._model_ready),
                get("server", "/v2", self._server),
                get("metrics", "/metrics", self._show_metrics),
                get("openapi", "/openapi.json", documents.describe),
                get("root", "/", documents.show_root),
            ),
            places="/v2 or /v1/models, or /, /openapi.json, /metrics",
        )

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Answer, now or as soon as its model has."""
        dispatch(self._routes, self._hub, Call(request, exchange, self._metrics))

    def addresses(self) -> list[tuple[str, str]]:
        """What can be asked: the name of each endpoint, and the pattern of its address."""
        return self._routes.tell()

    @property
    def _is_ready(self) -> bool:
        return not self._standing.draining and self._hub.ready

    def _live(self, call: Call) -> None:
        call.say({"live": True})

    def _ready(self, call: Call) -> None:
        call.say({"ready": self._is_ready}, 200 if self._is_ready else 503)

    def _model_ready(self, call: Call, occupant: Occupant) -> None:
        is_ready = not self._standing.draining and not occupant.stuck
        call.say({"name": occupant.model.name, "ready": is_ready}, 200 if is_ready else 503)

    def _model(self, call: Call, occupant: Occupant) -> None:
        model = occupant.model
        parameters = {"bundle": model.digest, "task": model.facts.task, "classes": occupant.classes}
        call.say(
            {
                "name": model.name,
                "versions": [one.model.version for one in self._hub.slots[model.name].occupants],
                "platform": "onnxruntime_onnx",
                "inputs": describe_inputs(model.facts.schema.features),
                "outputs": describe_outputs(model.outputs),
                "parameters": parameters | describe_service(model),
            }
        )

    def _v1_models(self, call: Call) -> None:
        call.say({"models": list(self._hub.slots)})

    def _server(self, call: Call) -> None:
        call.say({"name": "noria", "version": __version__, "extensions": EXTENSIONS})

    def _show_metrics(self, call: Call) -> None:
        call.answer(Response(self._metrics.render(), content_type=CONTENT_TYPE))
