"""Refusal: a request that is not answered as it stands, and the words in which a client is told."""

from __future__ import annotations

from collections.abc import Mapping

from noria.errors import ServingError

SHOWN = 200  # characters of what was found; a reader needs no more, and an answer must not repeat a whole body


class RequestError(ServingError):
    """A request that cannot be answered as it stands; `status` is the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


def show(value: object) -> str:
    """Show what was found, but never more of it than a reader needs."""
    # The whole text of a long value would take longer than the refusal may.
    if isinstance(value, str):
        value = value[: SHOWN + 1]
    elif isinstance(value, list):
        value = [each[: SHOWN + 1] if isinstance(each, str) else each for each in value[:SHOWN]]
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write integers of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
