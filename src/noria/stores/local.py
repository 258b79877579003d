"""Local: a published folder as a folder on this machine's disk."""

from __future__ import annotations

from pathlib import Path

from noria.stores.folder import FolderStore
from noria.stores.objects import ObjectStore


def local_folder(store: ObjectStore, key: str, cache: Path) -> Path:
    """Where the folder `key` can be opened: in the store itself, or a copy below `cache`, fetched whole or not at all.

    Raises ObjectMissingError where nothing was published under the key. Whoever opens it verifies the bytes.
    """
    if isinstance(store, FolderStore):
        return store.root / key
    copy = cache / key
    if not copy.exists():
        store.fetch_folder(key, copy)
    return copy
