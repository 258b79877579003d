"""Local: a published folder as a folder on this machine's disk."""

from __future__ import annotations

from pathlib import Path

from noria.errors import ObjectMissingError
from noria.stores.folder import FolderStore
from noria.stores.objects import ObjectStore


def local_folder(store: ObjectStore, key: str, cache: Path) -> Path:
    """Where the folder `key` can be opened: in the store itself, or a copy below `cache`, fetched whole or not at all.

    Raises ObjectMissingError where nothing was published under the key. Whoever opens it verifies the bytes.
    """
    if isinstance(store, FolderStore):
        folder = store.root / key
        if not folder.is_dir():
            raise ObjectMissingError(f"no folder {key} in {store.root}: it was removed or never published; run again")
        return folder
    copy = cache / key
    if not copy.exists():
        store.fetch_folder(key, copy)
    return copy
