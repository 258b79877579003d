"""Completer: what a request's entities are known to be at its moment, as the arrays that a model takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import StoreError
from noria.features import Stored, age_minutes
from serving.features.note import Note, Status, write_note
from serving.features.online import Online
from serving.features.plan import Plan
from serving.features.reader import Entities
from serving.features.views import Found, ViewReader

# The clocks of who writes the store and of this machine may differ by so much, in µs: a row that is this little ahead
# of us is taken for one of now. Where a moment is given, that moment counts.
LEEWAY = 60_000_000

Moments = NDArray[np.int64]
Answered = Callable[["Completed"], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """The supplied features by name, (rows,), for each row's moment, with each view's statuses by row.

    The `context` is as it is stored; no model takes it.
    """

    features: Mapping[str, NDArray[Any]]
    context: Mapping[str, Sequence[Stored]]
    moments: Sequence[int]
    statuses: Mapping[str, Sequence[Status]]
    note: Note | None


class Completer:
    """Finds the features that a plan's service supplies, all rows and views of a request in one read."""

    def __init__(self, plan: Plan, online: Online, now: Callable[[], float] = time) -> None:
        columns = {column.name: column for column in (*plan.supplied, *plan.context)}
        self._online = online
        self._now = now
        self._views = [ViewReader(view, columns) for view in plan.service.views]
        self._types = {column.name: column.dtype for column in plan.supplied}
        self._context = tuple(column.name for column in plan.context)
        self._ages = {age.name: age.of for age in plan.service.ages if age.name in columns}
        plain = [name for name in self._types if name not in self._ages]
        kinds = dict.fromkeys(self._types[name] for name in plain)
        self._kinds = [(kind, [name for name in plain if self._types[name] == kind]) for kind in kinds]

    @property
    def views(self) -> tuple[str, ...]:
        """The names of the views that it reads."""
        return tuple(view.name for view in self._views)

    def find(self, entities: Entities, moments: Moments | None, rows: int, tell: Answered) -> None:
        """Look the entities up, at the given moments in µs since 1970 or now; `tell` is called once, perhaps at once.

        It never fails: what the store does not say is filled from memory or by default, and noted.
        """
        keys = [view.keys_of(entities) for view in self._views]
        wanted = list({key: None for each in keys for key in each if key is not None})
        if wanted:
            self._online.read(wanted, lambda found: tell(self._complete(keys, wanted, found, moments, rows)))
        else:
            tell(self._complete(keys, wanted, (), moments, rows))

    def _complete(
        self,
        keys: Sequence[Sequence[bytes | None]],
        wanted: Sequence[bytes],
        found: Sequence[bytes | None] | None,
        moments: Moments | None,
        rows: int,
    ) -> Completed:
        packed = None if found is None else dict(zip(wanted, found, strict=True))
        known = [self._resolve(view, each, packed) for view, each in zip(self._views, keys, strict=True)]
        leeway = LEEWAY if moments is None else 0
        at = [int(self._now() * 1e6)] * rows if moments is None else moments.tolist()
        values: dict[str, Sequence[Stored]] = {}
        statuses: dict[str, Sequence[Status]] = {}
        for view, each in zip(self._views, known, strict=True):
            chosen = [view.choose(one, moment, leeway) for one, moment in zip(each, at, strict=True)]
            statuses[view.name] = [status for status, _ in chosen]
            if leeway:
                at = [max(moment, row.event) if row else moment for moment, (_, row) in zip(at, chosen, strict=True)]
            picked = [view.values_of(row) for _, row in chosen]
            values.update(zip(view.fields, zip(*picked, strict=True), strict=True))
        ages = {name: self._age(values[of], at) for name, of in self._ages.items()}
        return Completed(
            features=self._arrange(values, ages),
            context={name: ages[name].tolist() if name in ages else values[name] for name in self._context},
            moments=at,
            statuses=statuses,
            note=write_note(statuses),
        )

    def _resolve(
        self, view: ViewReader, keys: Sequence[bytes | None], packed: Mapping[bytes, bytes | None] | None
    ) -> list[Found]:
        """What is known of each row's entity; each entity once."""
        known: dict[bytes | None, Found] = {}
        for key in keys:
            if key not in known:
                known[key] = self._look_at(view, key, packed)
        return [known[key] for key in keys]

    def _look_at(self, view: ViewReader, key: bytes | None, packed: Mapping[bytes, bytes | None] | None) -> Found:
        if key is None:
            return Found(row=None, status="fresh", missing="unknown")
        missing: Status = "unread"
        if packed is not None:
            data = packed[key]
            if data is None:
                missing = "unknown"  # unless it was there before: then the store has lost it
            else:
                try:
                    row = view.unpack(data)
                except StoreError as error:
                    self._online.note_garbage(error)
                else:
                    self._online.memory.keep(key, data)
                    return Found(row=row, status="fresh", missing="unknown")
        kept = self._online.memory.find(key)
        try:
            row_kept = None if kept is None else view.unpack(kept)
        except StoreError:  # another version of the model has read it, whose view has other fields
            row_kept = None
        return Found(row=row_kept, status="last known", missing=missing)

    def _age(self, instants: Sequence[Stored], moments: Sequence[int]) -> NDArray[np.float64]:
        return age_minutes(np.array(moments, np.int64), np.array(instants, np.float64))

    def _arrange(
        self, values: Mapping[str, Sequence[Stored]], ages: Mapping[str, NDArray[np.float64]]
    ) -> dict[str, NDArray[Any]]:
        """The columns that the model takes: NaN or "" for what is missing, and ages worked out as in training."""
        arrays: dict[str, NDArray[Any]] = {}
        for dtype, names in self._kinds:
            # One array for all columns of a type: making it costs more than what stands in it.
            found = [values[name] for name in names]
            if dtype.kind == "O":
                found = [["" if one is None else one for one in rows] for rows in found]
            arrays.update(zip(names, np.array(found, dtype), strict=True))
        return {name: ages[name].astype(kind) if name in ages else arrays[name] for name, kind in self._types.items()}
