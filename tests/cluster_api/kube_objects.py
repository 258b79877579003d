"""The objects of an API server: versions, generations, and who owns which field, as Kubernetes keeps them."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]
Key = tuple[str, str, str]  # resource, namespace, name
IDENTITY: frozenset[Path] = frozenset(
    {
        ("apiVersion",),
        ("kind",),
        *(("metadata", name) for name in ("name", "namespace", "uid", "resourceVersion")),
    }
)


class RefusedError(Exception):
    """What the server answers in place of an object."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Kept:
    content: dict[str, Any]
    owners: dict[str, set[Path]] = field(default_factory=dict)


class Objects:
    """Objects with optimistic concurrency and server-side apply; `history` has every write that changed something."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.history: list[tuple[str, str, str]] = []  # verb, resource, name
        self._kept: dict[Key, Kept] = {}
        self._version = 1  # etcd is at 1 before the first write

    def get(self, key: Key) -> dict[str, Any] | None:
        with self.lock:
            kept = self._kept.get(key)
            return copy.deepcopy(kept.content) if kept else None

    def create(self, key: Key, body: Mapping[str, Any]) -> dict[str, Any]:
        with self.lock:
            if key in self._kept:
                raise RefusedError(409, f"{key[0]} {key[2]!r} already exists")
            content = copy.deepcopy(dict(body))
            content["metadata"] = {
                **content["metadata"],
                "namespace": key[1],
                "uid": str(uuid.uuid4()),
                "generation": 1,
            }
            self._kept[key] = Kept(content)
            return self._written("create", key)

    def replace(self, key: Key, body: Mapping[str, Any]) -> dict[str, Any]:
        with self.lock:
            kept = self._find(key)
            version = body["metadata"].get("resourceVersion")
            if version is not None and version != kept.content["metadata"]["resourceVersion"]:
                raise RefusedError(
                    409, f"Operation cannot be fulfilled on {key[0]} {key[2]!r}: the object has been modified"
                )
            content = copy.deepcopy(dict(body))
            own = {name: kept.content["metadata"][name] for name in ("uid", "generation", "namespace")}
            content["metadata"] = {**content["metadata"], **own}
            kept.content = content
            return self._written("update", key)

    def apply(self, key: Key, manager: str, body: Mapping[str, Any], *, force: bool) -> dict[str, Any]:
        with self.lock:
            self._check_identity(key, body["metadata"])
            if key not in self._kept:
                self.create(key, {**body, "metadata": {**body["metadata"]}})
                self._kept[key].owners[manager] = set(_leaves(body)) - IDENTITY
                return copy.deepcopy(self._kept[key].content)
            kept, paths = self._kept[key], set(_leaves(body)) - IDENTITY
            if not force:
                self._check_owners(key, manager, paths, body)
            before = copy.deepcopy(kept.content)
            others = set().union(*(owned for name, owned in kept.owners.items() if name != manager))
            for path in kept.owners.get(manager, set()) - paths - others:
                _remove(kept.content, path)
            for path in paths:
                _set(kept.content, path, _get(body, path))
            kept.owners[manager] = paths
            metadata = kept.content["metadata"]
            if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
                return self._kept.pop(key).content
            if kept.content != before:
                if kept.content.get("spec") != before.get("spec"):
                    kept.content["metadata"]["generation"] += 1
                return self._written("patch", key)
            return copy.deepcopy(kept.content)

    def delete(self, key: Key, preconditions: Mapping[str, str]) -> None:
        with self.lock:
            kept = self._find(key)
            for name, value in preconditions.items():
                if value != kept.content["metadata"][name]:
                    raise RefusedError(409, f"Precondition failed: {name} in precondition: {value}")
            self.history.append(("delete", key[0], key[2]))
            if kept.content["metadata"].get("finalizers"):
                kept.content["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            else:
                del self._kept[key]

    def set_status(self, key: Key, status: Mapping[str, Any]) -> None:
        with self.lock:
            kept = self._kept.get(key)
            if kept is not None and kept.content.get("status") != status:
                kept.content["status"] = copy.deepcopy(dict(status))
                self._version += 1
                kept.content["metadata"]["resourceVersion"] = str(self._version)

    def _check_identity(self, key: Key, metadata: Mapping[str, Any]) -> None:
        """As API servers do: a version matters only where there is an object, an identity always."""
        kept = self._kept.get(key)
        if kept is None and metadata.get("uid"):
            raise RefusedError(409, f"uid mismatch: {metadata['uid']}, and no existing object was found")
        if kept is not None:
            now = kept.content["metadata"]
            if metadata.get("resourceVersion", now["resourceVersion"]) != now["resourceVersion"]:
                raise RefusedError(409, f"{key[0]} {key[2]!r}: the object has been modified")
            if metadata.get("uid", now["uid"]) != now["uid"]:
                raise RefusedError(422, "metadata.uid: Invalid value: field is immutable")

    def _check_owners(self, key: Key, manager: str, paths: set[Path], body: Mapping[str, Any]) -> None:
        kept = self._kept[key]
        for name, owned in kept.owners.items():
            for path in sorted(owned & paths):
                if name != manager and _get(kept.content, path) != _get(body, path):
                    raise RefusedError(409, f'Apply failed with 1 conflict: conflict with "{name}": .{".".join(path)}')

    def _find(self, key: Key) -> Kept:
        if key not in self._kept:
            raise RefusedError(404, f"{key[0]} {key[2]!r} not found")
        return self._kept[key]

    def _written(self, verb: str, key: Key) -> dict[str, Any]:
        self._version += 1
        content = self._kept[key].content
        content["metadata"]["resourceVersion"] = str(self._version)
        self.history.append((verb, key[0], key[2]))
        return copy.deepcopy(content)


def _leaves(body: Any, start: Path = ()) -> Iterator[Path]:
    for key, value in body.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*start, key))
        else:
            yield (*start, key)


def _get(body: Any, path: Path) -> Any:
    for key in path:
        body = body.get(key) if isinstance(body, Mapping) else None
    return body


def _set(body: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        body = body.setdefault(key, {})
    body[path[-1]] = copy.deepcopy(value)


def _remove(body: dict[str, Any], path: Path) -> None:
    for key in path[:-1]:
        body = body.get(key, {})
    body.pop(path[-1], None)
