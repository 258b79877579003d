"""Contents: which files a folder holds, each with its size and digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from noria.errors import StoreError
from noria.stores.objects import check_key


@dataclass(frozen=True, kw_only=True)
class FileContent:
    name: str  # relative to the folder, with /
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The files of a folder, sorted by name; folders without files are not part of it."""

    files: tuple[FileContent, ...]

    def encode(self) -> bytes:
        return msgspec.json.encode(self, order="deterministic")


def decode_contents(data: bytes) -> Contents:
    """Read what `encode` wrote; ValueError if it is something else, or names a file outside of the folder."""
    contents = msgspec.json.decode(data, type=Contents, strict=True)
    for file in contents.files:
        try:
            check_key(file.name)
        except StoreError as error:
            raise ValueError(str(error)) from error
    return contents


def read_contents(folder: Path) -> Contents:
    """List and digest the folder's files; OSError if one cannot be read, StoreError for links and for nothing."""
    if folder.is_symlink() or not folder.is_dir():
        raise StoreError(f"{folder} is not a folder: expected one with the files to keep")
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StoreError(f"{path} is no regular file: a kept folder holds only files; put the file itself there")
        if path.is_file():
            files.append(_read_content(path, check_key(path.relative_to(folder).as_posix())))
    if not files:
        raise StoreError(f"{folder} holds no file: expected at least one; was it written?")
    return Contents(files=tuple(sorted(files, key=lambda file: file.name)))


def _read_content(path: Path, name: str) -> FileContent:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileContent(name=name, size=file.tell(), sha256=digest)
