"""What a case of the corpus is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request that must be refused with this status, by a message with these words, on a connection that lives on."""

    name: str
    model: str
    path: str
    body: bytes = b""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 400
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class RawCase:
    """Bytes that are no proper HTTP, or one that must not be believed.

    They are refused with a status from 400 to 499, unless they only end too early (`ends`): then the connection may
    just be closed. `keeps` says that the next request on the connection is answered.
    """

    name: str
    data: bytes
    status: int | None = None
    keeps: bool = False
    ends: bool = False
