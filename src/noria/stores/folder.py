"""Folder: an object store in a folder of a local file system; a key is a path."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from noria.errors import ObjectExistsError, ObjectMissingError, StoreError
from noria.ml.durable import create_whole, make_folder, publish_folder, staged, sweep, write_whole
from noria.stores.contents import read_contents
from noria.stores.objects import check_key, check_prefix

_STAGING = ".staging"
_NEXT_STEP = {
    errno.ENOSPC: "expected free space on its disk; free some, then run again",
    errno.EDQUOT: "expected room in the disk quota; free some, then run again",
    errno.EROFS: "expected a file system that can be written; mount it so, or let NORIA_HOME name another folder",
    errno.EACCES: "expected permission to read and write there; change the owner, or set NORIA_HOME",
    errno.EPERM: "expected permission and a file system with hard links; set NORIA_HOME to a folder on one",
    errno.ENOTSUP: "expected a file system with hard links; let NORIA_HOME name a folder on one that has them",
}


class FolderStore:
    """An ObjectStore (its contract is there) below `root`, which the first write makes.

    What is written is staged below `root/.staging`, synced, and linked or renamed into its place, so all of the root
    has to be on one file system, one with hard links. A killed writer leaves only staged files; a writer removes them
    a day later.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._scratch = self.root / _STAGING
        self._swept = False

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with _explained("written", path):
            self._sweep()
            write_whole(path, data, scratch=self._scratch)

    def put_new(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with _explained("written", path):
            self._sweep()
            try:
                create_whole(path, data, scratch=self._scratch)
            except FileExistsError as error:
                raise ObjectExistsError(
                    f"object {key} is already in {self.root}: expected to be its first writer"
                ) from error

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with _explained("read", path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise ObjectMissingError(f"no object {key} in {self.root}: check the key and NORIA_HOME") from error

    def list(self, prefix: str, *, after: str = "") -> list[str]:
        start = self.root / check_prefix(prefix).rpartition("/")[0]
        with _explained("listed", start):
            keys = (path.relative_to(self.root).as_posix() for path in _files_below(start))
            return sorted(key for key in keys if key.startswith(prefix) and key > after)

    def exists(self, key: str) -> bool:
        path = self._path(key)
        with _explained("read", path):
            try:
                path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _explained("removed", path):
            try:
                path.unlink(missing_ok=True)
            except (NotADirectoryError, IsADirectoryError):
                return

    def put_folder(self, prefix: str, folder: Path) -> None:
        target = self._path(prefix)
        with _explained("written", target):
            self._sweep()
            if target.exists():
                return _expect_same(folder, target)
            _copy(folder, target, self._scratch)
        return None

    def fetch_folder(self, prefix: str, folder: Path) -> None:
        source = self._path(prefix)
        if not source.is_dir():
            raise ObjectMissingError(f"no folder {prefix} in {self.root}: check the key and NORIA_HOME")
        with _explained("written", folder):
            sweep(folder.parent)
            _copy(source, folder, folder.parent)

    def uri(self, key: str) -> str:
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _sweep(self) -> None:
        if not self._swept:
            make_folder(self._scratch)
            sweep(self._scratch)
            self._swept = True


def _copy(source: Path, target: Path, scratch: Path) -> None:
    contents = read_contents(source)
    with staged(scratch) as staging:
        for file in contents.files:
            (staging / file.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file.name, staging / file.name)
        if read_contents(staging) != contents:
            raise StoreError(
                f"{source} changed while it was copied to {target}: expected nobody to write there; run again"
            )
        try:
            publish_folder(staging, target)
        except FileExistsError:
            _expect_same(source, target)


def _expect_same(source: Path, target: Path) -> None:
    if target.is_dir():
        found, expected = set(read_contents(target).files), set(read_contents(source).files)
        if found == expected:
            return
        names = ", ".join(sorted({file.name for file in found ^ expected}))
    else:
        names = "a file in place of a folder"
    raise ObjectExistsError(
        f"{target} is there already and differs from {source} ({names}): expected the same files; "
        "a key is used for one content only, so remove what is wrong, then run again"
    )


def _files_below(start: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(start, onerror=_unless_gone):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder) / name for name in names if not name.startswith("."))


def _unless_gone(error: OSError) -> None:
    # A folder that another process removed during the walk holds no keys any more.
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


@contextmanager
def _explained(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        step = _NEXT_STEP.get(error.errno or 0, "look at the disk and at the path, then run again")
        raise StoreError(f"{path} cannot be {verb} ({error.strerror}): {step}") from error
