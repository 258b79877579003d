"""Documents: the page for people and the description for tools, made anew when the models have changed."""

from __future__ import annotations

import msgspec

from noria import __version__
from serving.call import Call
from serving.exchange import Response
from serving.hub import Hub
from serving.options import Limits

JSON = b"application/json"
VARY = ((b"vary", b"accept"),)  # what stands at / depends on who asks


class Documents:
    """Answers at `/` and `/openapi.json`. No prediction needs them, so they are imported when they are asked for."""

    def __init__(self, hub: Hub, limits: Limits, *, with_page: bool) -> None:
        self._hub = hub
        self._limits = limits
        self._with_page = with_page
        self._made: dict[str, tuple[tuple[str, ...], Response]] = {}

    def show_root(self, call: Call) -> None:
        """The page to a browser; to everyone else who is served here."""
        if self._with_page and self._hub.slots and b"text/html" in call.request.headers.get(b"accept", b""):
            call.answer(self._make("page"))
            return
        models = {name: slot.occupant.model.digest for name, slot in self._hub.slots.items()}
        about = msgspec.json.encode({"name": "noria", "version": __version__, "models": models})
        call.answer(Response(about, 200, VARY))

    def describe(self, call: Call) -> None:
        """The OpenAPI document of the data port."""
        call.answer(self._make("openapi"))

    def _make(self, what: str) -> Response:
        models = [one.model for slot in self._hub.slots.values() for one in slot.occupants]
        key = tuple(f"{model.name} {model.digest}" for model in models)
        known, made = self._made.get(what, ((), None))
        if made is not None and known == key:
            return made
        if what == "page":
            from serving import page

            made = Response(page.render(models[0], models[1:]), 200, page.HEADERS, page.CONTENT_TYPE)
        else:
            from serving.openapi import describe

            made = Response(describe(models, __version__, self._limits.request_rows), content_type=JSON)
        self._made[what] = (key, made)
        return made
