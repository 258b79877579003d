"""Opening: which store an address means, and where a folder of it can be opened."""

from __future__ import annotations

from pathlib import Path

from noria.errors import ObjectMissingError, UsageError
from noria.stores.folder import FolderStore
from noria.stores.objects import ObjectStore


def open_store(address: str) -> ObjectStore:
    """Open the store at `s3://bucket/prefix` or at the path of a folder; UsageError for another kind of address.

    Nothing is read or written yet.
    """
    # boto3 takes 0.3 s to import, so a store is imported only when its kind is asked for.
    if address.startswith("s3://"):
        from noria.stores.s3 import S3Store

        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        return S3Store(bucket=bucket, prefix=prefix.strip("/"))
    if not address or "://" in address:
        raise UsageError(
            f"no object store is known for {address!r}: expected s3://bucket/prefix or the path of a folder"
        )
    return FolderStore(Path(address))


def key_at(store: ObjectStore, address: str) -> str | None:
    """The key whose `uri` in this store is the address; None for an address elsewhere."""
    start = store.uri("x").removesuffix("x")
    return address.removeprefix(start) if address.startswith(start) else None


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
