"""Runs: what became of each run, failed ones too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from noria.stores.objects import ObjectStore


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run. `outcome`: promoted, refused, unchanged or failed; `steps`: seconds by step, 0 for a cache hit."""

    id: str
    task: str
    environment: str
    started: datetime
    seconds: float
    outcome: str
    reason: str
    plan: str
    bundle: str
    steps: Mapping[str, float]
    parameters: Mapping[str, object]
    log: str


class RunLog:
    """The runs of a task, one object each under runs/<task>/; a run's id sorts by its start."""

    def __init__(self, store: ObjectStore, task: str) -> None:
        self._store = store
        self._prefix = f"runs/{task}/"

    def add(self, record: RunRecord) -> None:
        self._store.put_new(f"{self._prefix}{record.id}.json", msgspec.json.encode(record, order="deterministic"))

    def last(self, count: int) -> tuple[RunRecord, ...]:
        """The newest runs, newest first."""
        keys = self._store.list(self._prefix)[-count:]
        return tuple(msgspec.json.decode(self._store.get(key), type=RunRecord) for key in reversed(keys))
