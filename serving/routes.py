"""Routes: addresses, the one method that each of them takes, and who answers there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serving.call import Call
from serving.exchange import Request
from serving.hub import Hub
from serving.refusal import RequestError
from serving.slot import Occupant

KNOWN_PATHS, KNOWN_LENGTH = 1024, 256  # how many addresses are remembered with their meaning, and how long ones


@dataclass(frozen=True, kw_only=True)
class Route:
    """Who answers at the addresses of a pattern: `answer`, or `ask` where they name a model that is there."""

    endpoint: str
    method: str
    pattern: re.Pattern[str]
    answer: Callable[[Call], None] | None = None
    ask: Callable[[Call, Occupant], None] | None = None


class Routes:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route], places: str) -> None:
        self._routes = tuple(routes)
        self._places = places
        self._known: dict[tuple[str, str], tuple[Route, dict[str, str]]] = {}

    def find(self, request: Request) -> tuple[Route, dict[str, str]]:
        """The route, and what its address names; RequestError (404, 405) if there is none."""
        method = "GET" if request.method == "HEAD" else request.method
        return self._known.get((method, request.path)) or self._look_up(method, request.path)

    def tell(self) -> list[tuple[str, str]]:
        """The endpoints, and the patterns of their addresses."""
        return [(route.endpoint, route.pattern.pattern) for route in self._routes]

    def _look_up(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        allowed = []
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match is not None and route.method == method:
                known = route, match.groupdict()
                if len(self._known) < KNOWN_PATHS and len(path) < KNOWN_LENGTH:
                    self._known[method, path] = known
                return known
            if match is not None:
                allowed.append(route.method)
        if allowed:
            expected = ", ".join(allowed)
            raise RequestError(f"found method {method[:20]}: expected {expected}", 405, {"allow": expected})
        raise RequestError(f"nothing at {path[:100]!r}: expected an address below {self._places}", 404)


def dispatch(routes: Routes, hub: Hub, call: Call) -> None:
    """Let the call be answered, now or later; never raises."""
    call.attempt(lambda: _hand_on(routes, hub, call))


def _hand_on(routes: Routes, hub: Hub, call: Call) -> None:
    route, named = routes.find(call.request)
    call.endpoint = route.endpoint
    if route.ask is not None:
        call.occupant = hub.find(named["model"], named.get("version"))
        route.ask(call, call.occupant)
    elif route.answer is not None:
        call.named = named
        route.answer(call)


def get(
    endpoint: str,
    pattern: str,
    answer: Callable[[Call], None] | None = None,
    *,
    ask: Callable[[Call, Occupant], None] | None = None,
) -> Route:
    """A route that is read."""
    return Route(endpoint=endpoint, method="GET", pattern=re.compile(pattern), answer=answer, ask=ask)


def post(
    endpoint: str,
    pattern: str,
    answer: Callable[[Call], None] | None = None,
    *,
    ask: Callable[[Call, Occupant], None] | None = None,
) -> Route:
    """A route that takes a body."""
    return Route(endpoint=endpoint, method="POST", pattern=re.compile(pattern), answer=answer, ask=ask)
