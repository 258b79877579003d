"""Durable: put a file or a folder in its place whole or not at all; a killed process leaves nothing half there."""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STAGING = ".staging-"
STALE_SECONDS = 86_400.0  # a live writer finishes within a day, so what is older was left by a killed one


@contextmanager
def staged(scratch: Path) -> Iterator[Path]:
    """Yield a free path in the scratch folder, and remove what still lies there at the end.

    The scratch folder has to be on the file system of the final place, because only then can a rename publish at once.
    """
    make_folder(scratch)
    path = scratch / f"{STAGING}{uuid.uuid4().hex}"
    try:
        yield path
    finally:
        _remove(path)


def sweep(scratch: Path, *, older_than: float = STALE_SECONDS) -> None:
    """Remove what killed writers left in the scratch folder more than `older_than` seconds ago."""
    now = time.time()
    for path in scratch.glob(f"{STAGING}*"):
        with suppress(FileNotFoundError):
            if now - path.lstat().st_mtime > older_than:
                _remove(path)


def write_whole(path: Path, data: bytes, *, mode: int = 0o644, scratch: Path | None = None) -> None:
    """Write the file, in place of one that is there; OSError leaves what was there."""
    make_folder(path.parent)
    with staged(scratch or path.parent) as temporary:
        _write_synced(temporary, data, mode)
        temporary.replace(path)
        sync_folder(path.parent)


def create_whole(path: Path, data: bytes, *, mode: int = 0o644, scratch: Path | None = None) -> None:
    """Write the file where none is; of any number of writers at once one succeeds, the others get FileExistsError."""
    make_folder(path.parent)
    with staged(scratch or path.parent) as temporary:
        _write_synced(temporary, data, mode)
        # A hard link, unlike a rename, never replaces what is there; the bytes are complete when it shows them.
        os.link(temporary, path)
        sync_folder(path.parent)


def publish_folder(staging: Path, folder: Path) -> None:
    """Move a finished folder to its place, durably; FileExistsError if a folder that is not empty is already there."""
    make_folder(folder.parent)
    for parent, _, names in os.walk(staging):
        for name in names:
            _sync(Path(parent) / name)
        _sync(Path(parent))
    try:
        staging.rename(folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder)) from error
        raise
    sync_folder(folder.parent)


def make_folder(folder: Path) -> None:
    """Make the folder and those above it, durably."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the folder's own entries reach the disk."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123 - a mode from birth
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
