"""Online store: Feast's plug-in over Noria's packed rows; feature_store.yaml names the class as its `type`.

`feast materialize`, pushes and `get_online_features` work on the rows that the predictor reads. What is written stays
only where nothing newer is there, and a call is written whole or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from feast import Entity
from feast.feature_view import FeatureView
from feast.infra.online_stores.online_store import OnlineStore as FeastOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from noria import features
from noria.errors import UsageError
from noria.features import Field, FieldType
from noria.stores.online.rows import OnlineRow, Packer, row_key
from noria.stores.online.store import OnlineStore, open_online
from noria.task import TakesFeatures, load_task, task_names

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
AHEAD = timedelta(days=1)  # by which a pushing machine's clock, or its idea of a time zone, may differ from ours
# Feast's types by name: how a value is packed, and the member of Feast's Value that holds it.
KINDS: Mapping[str, tuple[FieldType, str]] = {
    "INT64": ("int64", "int64_val"),
    "INT32": ("int64", "int32_val"),
    "BOOL": ("int64", "bool_val"),
    "UNIX_TIMESTAMP": ("int64", "unix_timestamp_val"),
    "DOUBLE": ("float64", "double_val"),
    "FLOAT": ("float64", "float_val"),
    "STRING": ("string", "string_val"),
}
_KEYS = ("string_val", "int64_val", "int32_val")

Data = list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]]
Answer = list[tuple[datetime | None, dict[str, Value] | None]]


class NoriaOnlineStoreConfig(FeastConfigBaseModel):
    """The part `online_store` of feature_store.yaml."""

    type: Literal["feature_repo.online_store.NoriaOnlineStore"] = "feature_repo.online_store.NoriaOnlineStore"
    address: str  # a path (a relative one lies below the repository), redis://host:port/db or rediss://…
    password_file: str = ""  # the file that holds the password of a Redis; "": none
    seconds: float = 30.0  # how long a call waits for other writers, or for the server


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the rows of a Feast view are packed: the same way as those of the task's view that it was made of."""

    name: str
    keys: tuple[str, ...]
    members: Mapping[str, str]  # feature -> the member of Feast's Value
    packer: Packer

    @classmethod
    def of(cls, view: FeatureView) -> Layout:
        """UsageError for a type of Feast's that no packed row has."""
        kinds = {feature.name: feature.dtype.to_value_type().name for feature in view.features}
        if strange := [f"{name} ({kind})" for name, kind in kinds.items() if kind not in KINDS]:
            raise UsageError(
                f"feature view {view.name} has {', '.join(strange)}: this online store keeps {', '.join(KINDS)}; leave "
                "these features out of it, or set online=False"
            )
        keys = tuple(view.join_keys)
        packed = features.FeatureView(
            name=view.name,
            keys=keys,
            fields=tuple(Field(name=name, type=KINDS[kind][0]) for name, kind in kinds.items()),
            ttl_seconds=view.ttl.total_seconds() if view.ttl else float("inf"),
        )
        members = {name: KINDS[kind][1] for name, kind in kinds.items()}
        return cls(name=view.name, keys=keys, members=members, packer=Packer(packed))

    def key(self, entity: EntityKey) -> bytes:
        """The key of an entity, whose join keys may come in any order."""
        values = dict(zip(entity.join_keys, entity.entity_values, strict=True))
        return row_key(self.name, [_key_value(self.name, name, values[name]) for name in self.keys])

    def pack(self, values: Mapping[str, Value], event: datetime, created: datetime | None) -> bytes:
        taken = (_stored(values.get(name)) for name in self.members)
        stamps = {"event": microseconds(event), "created": microseconds(created) if created else 0}
        return self.packer.pack(OnlineRow(**stamps, values=tuple(taken)))

    def unpack(self, data: bytes) -> tuple[datetime, dict[str, Value]]:
        row = self.packer.unpack(data)
        pairs = zip(self.members.items(), row.values, strict=True)
        values = {name: _value(member, value) for (name, member), value in pairs}
        return EPOCH + row.event * MICROSECOND, values


class NoriaOnlineStore(FeastOnlineStore):
    """The online store; Feast makes one, and calls it from any thread."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._opened: OnlineStore | None = None
        self._layouts: dict[tuple[object, ...], Layout] = {}

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: Data, progress: Callable[[int], Any] | None
    ) -> None:
        """Write the rows in one transaction; of each key the newest stays.

        UsageError for a row of a day that is still to come: it would stand before all that becomes known until then.
        """
        layout = self._layout(table)
        _refuse_future(table.name, [event for _, _, event, _ in data])
        rows = ((layout.key(key), layout.pack(values, event, created)) for key, values, event, created in data)
        self._store(config).write(rows)
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> Answer:
        """The features of each entity with the moment they were known; (None, None) for an unknown one."""
        layout = self._layout(table)
        found = self._store(config).read([layout.key(key) for key in entity_keys])
        answers: Answer = []
        for data in found:
            if data is None:
                answers.append((None, None))
                continue
            event, values = layout.unpack(data)
            wanted = values if requested_features is None else {name: values[name] for name in requested_features}
            answers.append((event, wanted))
        return answers

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],  # noqa: ARG002 - Feast's signature
        entities_to_keep: Sequence[Entity],  # noqa: ARG002
        partial: bool,  # noqa: ARG002
    ) -> None:
        """Remove the rows of views that are no more; views that the store cannot keep are refused here already.

        A view that an installed task names is one still: Feast finds those of the tasks that were materialised on this
        machine, and another one that shares the store may have materialised others.
        """
        for view in tables_to_keep:
            Layout.of(view)
        named = _named_views() if tables_to_delete else frozenset()
        for view in tables_to_delete:
            if view.name not in named:
                self._store(config).remove(view.name)

    def teardown(
        self,
        config: RepoConfig,
        tables: Sequence[FeatureView],
        entities: Sequence[Entity],  # noqa: ARG002 - Feast's signature
    ) -> None:
        """Remove the rows of these views."""
        for view in tables:
            self._store(config).remove(view.name)

    def _layout(self, view: FeatureView) -> Layout:
        """The view's layout, worked out once for as long as its features are these."""
        seen = (view.name, *((feature.name, feature.dtype) for feature in view.features))
        if seen not in self._layouts:
            self._layouts[seen] = Layout.of(view)
        return self._layouts[seen]

    def _store(self, config: RepoConfig) -> OnlineStore:
        said: NoriaOnlineStoreConfig = config.online_store
        with self._turn:
            if self._opened is None:
                self._opened = open_online(
                    said.address,
                    password_file=Path(said.password_file) if said.password_file else None,
                    seconds=said.seconds,
                    folder=config.repo_path,
                )
            return self._opened


def _named_views() -> frozenset[str]:
    """The views of all tasks that are installed."""
    tasks = [task for task in map(load_task, task_names()) if isinstance(task, TakesFeatures)]
    return frozenset(view.name for task in tasks for view in task.service.views)


def microseconds(moment: datetime) -> int:
    """µs since 1970; a moment without a zone is in UTC."""
    known = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (known - EPOCH) // MICROSECOND


def _refuse_future(view: str, events: Sequence[datetime]) -> None:
    newest, now = max(map(microseconds, events), default=0), datetime.now(UTC)
    if newest > microseconds(now + AHEAD):
        said = EPOCH + newest * MICROSECOND
        raise UsageError(
            f"a row of view {view} is of {said:%Y-%m-%d %H:%M}, and now is {now:%Y-%m-%d %H:%M} UTC: expected what is "
            "known already; correct its event_timestamp. Nothing of this call is written"
        )


def _key_value(view: str, name: str, value: Value) -> str | int:
    member = value.WhichOneof("val")
    if member not in _KEYS:
        raise UsageError(
            f"join key {name} of feature view {view} got {member or 'nothing'}: expected a text or a whole number"
        )
    found: str | int = getattr(value, member)
    return found


def _value(member: str, value: features.Stored) -> Value:
    made = Value()
    if value is not None:
        setattr(made, member, value)
    return made


def _stored(value: Value | None) -> features.Stored:
    """The value as a packed row keeps it; None where it is missing."""
    member = value.WhichOneof("val") if value is not None else None
    found: features.Stored = getattr(value, member) if member else None
    return found
