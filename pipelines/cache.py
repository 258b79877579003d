"""Cache: kfp.local's, except that a result is believed only while its address leads somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.local import cache as kfp_cache

from noria.stores.objects import ObjectStore
from noria.stores.opening import key_at


class CheckedCache(kfp_cache.LocalCache):  # type: ignore[misc]  # kfp has no types
    """kfp.local looks whether a local file is still there, and takes every other address for good.

    What it holds are addresses in one object store. An entry with an address at which that store holds nothing is no
    entry: its step runs again, publishes the same content under the same address, and the steps after it are found.
    """

    def __init__(self, root: Path, store: ObjectStore) -> None:
        super().__init__(str(root.absolute()))
        self._store = store

    def get(self, key: str) -> dict[str, Any] | None:
        """The outputs that are kept under the key; None if there are none, or one of them is gone."""
        outputs: dict[str, Any] | None = super().get(key)
        return outputs if outputs is None or all(map(self._is_there, _addresses(outputs))) else None

    def _is_there(self, address: str) -> bool:
        found = key_at(self._store, address)
        return "://" not in address if found is None else self._store.exists(found)


def use_checked_cache(root: Path, store: ObjectStore) -> None:
    """Let kfp.local use this cache from now on; called after `kfp.local.init`, which forgets the one before."""
    checked = CheckedCache(root, store)
    # kfp.local 2.17 has no other way to be given one; a test sees a result run again whose object is gone.
    kfp_cache._cache_singleton, kfp_cache._cache_singleton_root = checked, checked.cache_root


def _addresses(outputs: dict[str, Any]) -> Iterator[str]:
    """What may be an address: every text that a step handed on, and where its artifacts lie."""
    for value in outputs.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dsl.Artifact) and one.uri:
                yield one.uri
            elif isinstance(one, str):
                yield one
