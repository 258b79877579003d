"""Copies: objects of a bucket as local files, fetched again when they have changed."""

from __future__ import annotations

from pathlib import Path

from noria.errors import ObjectMissingError, StoreError
from noria.ml.durable import make_folder, staged, sweep
from noria.stores.s3 import S3Store

_TRIES = 5  # of an object that changes while it is fetched


def fetch_objects(address: str, cache: Path) -> tuple[Path, ...]:
    """Copies of the object at `s3://bucket/key`, or of the .parquet objects below it, in the order of their keys.

    A copy lies below `cache` in a folder of its key, under the name of the object's ETag: it appears whole or not at
    all, and an object that was changed is fetched again. Raises ObjectMissingError where there is nothing, StoreError
    if the server cannot be asked.
    """
    bucket, _, key = address.removeprefix("s3://").partition("/")
    store = S3Store(bucket=bucket)
    if key and not key.endswith("/"):
        tag = _tag(store, key)
        if tag is not None:
            return (_fetch(store, key, tag, cache / bucket),)
    below = f"{key.rstrip('/')}/" if key.strip("/") else ""
    found = [name for name in store.list(below) if name.endswith(".parquet")]
    if not found:
        raise ObjectMissingError(f"no object and no .parquet objects at {address}: check the path of the source")
    return tuple(_fetch(store, name, _tag(store, name), cache / bucket) for name in found)


def _tag(store: S3Store, key: str) -> str | None:
    """The ETag, which a server changes with the content; None where there is no object."""
    found = store.head(key)
    return None if found is None else str(found["ETag"]).strip('"')


def _fetch(store: S3Store, key: str, tag: str | None, cache: Path) -> Path:
    if any(part in {"", ".", ".."} for part in key.split("/")):
        raise StoreError(f"s3://{store.bucket}/{key} cannot be copied: expected a key without empty or dotted parts")
    for _ in range(_TRIES):
        if tag is None:
            raise ObjectMissingError(f"no object s3://{store.bucket}/{key}: it was removed while it was wanted")
        copy = cache / key / f"{tag}.parquet"
        if copy.exists():
            return copy
        make_folder(copy.parent)
        sweep(copy.parent)
        try:
            with staged(copy.parent) as staging:
                with staging.open("wb") as sink:
                    store.receive(key, lambda sink=sink: sink)  # type: ignore[misc]
                after = _tag(store, key)
                # What was received has this ETag only if the object had it before and afterwards.
                if after == tag:
                    staging.replace(copy)
                    return copy
        except OSError as error:
            raise StoreError(
                f"s3://{store.bucket}/{key} cannot be copied to {copy} ({error.strerror}): expected room in a folder "
                "that can be written; free space, or set offline_store.cache to another folder"
            ) from error
        tag = after
    raise StoreError(f"s3://{store.bucket}/{key} changed {_TRIES} times while it was fetched: run again when it rests")
