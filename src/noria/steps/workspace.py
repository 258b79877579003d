"""Workspace: the stores and keys that a step works with, opened from the settings."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from noria.errors import UsageError
from noria.ml.bundle import Bundle, open_bundle
from noria.ml.dataset import Dataset, open_dataset
from noria.ml.durable import write_whole
from noria.ml.signature import Signer, TrustedKeys, make_key
from noria.settings import Settings
from noria.stores.objects import ObjectStore
from noria.stores.opening import local_folder, open_store
from noria.stores.releases import Ledger
from noria.task import FetchesSource, Task


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Workspace:
    settings: Settings

    @classmethod
    def from_environment(cls) -> Workspace:
        return cls(settings=Settings.from_environment())

    @cached_property
    def store(self) -> ObjectStore:
        return open_store(self.settings.objects)

    @cached_property
    def trusted(self) -> TrustedKeys:
        return TrustedKeys(self.settings.trusted_keys)

    @cached_property
    def signer(self) -> Signer:
        """The key that signs here; made on first use, and trusted from then on."""
        if not self.settings.signing_key.exists() and self.settings.signing_key.parent == self.settings.home / "keys":
            self._keep_out_of_git()
            make_key(self.settings.home / "keys")
        return Signer(self.settings.signing_key)

    def _keep_out_of_git(self) -> None:
        """A home may lie in somebody's repository, and a private key is no part of one."""
        mark = self.settings.home / ".gitignore"
        with suppress(OSError):  # where nothing can be written, the key cannot either, and says so
            if not mark.exists():
                write_whole(mark, b"*\n")

    def ledger(self, task: str, *, writable: bool = False) -> Ledger:
        return Ledger(
            self.store,
            task,
            signer=self.signer if writable else None,
            trusted=self.trusted,
            anchors=self.settings.home / "anchors",
            clock=now,
        )

    def source_of(self, task: Task) -> Path | None:
        """Where the task's source lies: by the settings, else where the task finds it; None if it knows itself."""
        if task.name in self.settings.sources:
            return self.settings.sources[task.name]
        return task.find_source(self.source_folder(task.name)) if isinstance(task, FetchesSource) else None

    def source_folder(self, task: str) -> Path:
        """Where a source that was fetched is kept."""
        return self.settings.home / "sources" / task

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for work in progress on the same disk as the home; gone afterwards."""
        folder = self.settings.home / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as name:
            yield Path(name)

    def fetch_dataset(self, uri: str) -> Dataset:
        """Open the dataset that an artifact's URI names, and verify every byte of it."""
        digest = digest_of(uri)
        return open_dataset(self._folder(f"datasets/{digest}"), expected=digest)

    def fetch_bundle(self, digest: str) -> Bundle:
        """Open a published bundle, and verify every byte of it and its signature."""
        return open_bundle(self._folder(f"bundles/{digest}"), trusted=self.trusted, expected=digest)

    def _folder(self, key: str) -> Path:
        """The object folder on this machine's disk: where it lies, or a copy of it."""
        return local_folder(self.store, key, self.settings.home / "cache")


def report_key(digest: str, name: str) -> str:
    """Where a report about a dataset or about evidence lies; 16 digits keep its path readable, and are plenty."""
    return f"reports/{digest[:16]}/{name}"


def digest_of(uri: str) -> str:
    """The digest in the address of a content-addressed artifact, its last part."""
    digest = uri.rstrip("/").rpartition("/")[2]
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise UsageError(
            f"artifact {uri} is not addressed by its content: expected …/<sha256>, as Noria's own steps write it"
        )
    return digest
