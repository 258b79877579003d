"""Stage: where a champion is served by an object of its own, which a release has to change."""

from __future__ import annotations

import http.client
from contextlib import AbstractContextManager
from typing import Protocol


class Turn(Protocol):
    """The right to change what serves a task; while it is held, nobody else has it."""

    def named(self) -> str:
        """The bundle that is to serve by what stands there now, "" where none is; ClusterError where nobody can say."""

    def bring_up(self, bundle: str, *, plan: str) -> None:
        """Let the published bundle serve, and wait until it does; done again, it changes nothing.

        ReleaseError where it does not come up in time, ClusterError where the stage refuses.
        """

    def reach(self) -> http.client.HTTPConnection:
        """A new connection to what serves; it is the caller's to close."""

    def explain(self) -> str:
        """What the stage tells of what serves now: its state, its events, its last lines."""

    def put_back(self, bundle: str, champion: str) -> bool:
        """Let the champion serve again where the bundle was to, or nothing where there is none; whether it was so.

        What serves something else than the bundle by now is left alone. ClusterError where the stage refuses.
        """


class Stage(Protocol):
    """Hands out turns."""

    def turn(self, task: str, who: str) -> AbstractContextManager[Turn]:
        """The turn for a task; ConflictError says who has it already. A killed holder's ends by itself."""
