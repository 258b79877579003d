"""Allowed: the places that bundles may be loaded from when an operator asks for it, and nothing beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from noria.errors import UsageError
from noria.ml.bundle import open_bundle
from noria.ml.signature import TrustedKeys
from noria.stores.opening import local_folder, open_store
from serving.model import ServedModel, load_model
from serving.refusal import RequestError, show

PREFIX = re.compile(r"(file:///|s3://)[^/]")
PARTS = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


class AllowedSources:
    """Loads bundles from below the given prefixes: `file:///folder` or `s3://bucket/prefix`; every load is verified."""

    def __init__(
        self, prefixes: Sequence[str], trusted: TrustedKeys, cache: Path, threads: int, batch_rows: int
    ) -> None:
        for prefix in prefixes:
            if not PREFIX.match(prefix):
                raise UsageError(f"found the source prefix {prefix!r}: expected file:///folder or s3://bucket/prefix")
        self._prefixes = tuple(prefix.rstrip("/") + "/" for prefix in prefixes)
        self._trusted = trusted
        self._cache = cache
        self._threads = threads
        self._batch_rows = batch_rows

    def locate(self, source: str) -> tuple[str, str]:
        """Split a source into its allowed prefix and the rest; RequestError for one that lies elsewhere."""
        for prefix in self._prefixes:
            rest = source.removeprefix(prefix).rstrip("/")
            if source.startswith(prefix) and PARTS.fullmatch(rest) and not {".", ".."} & set(rest.split("/")):
                return prefix, rest
        allowed = ", ".join(self._prefixes) or "none: start the predictor with --admin-source"
        raise RequestError(f"found the source {show(source)}: expected a bundle below {allowed}", 403)

    def load(self, name: str, source: str) -> ServedModel:
        """Fetch, verify, load and try the bundle; blocks, so call it on a thread.

        Raises RequestError (403) for a source that is not allowed, BundleError for a bad bundle, StoreError for one
        that cannot be had.
        """
        prefix, rest = self.locate(source)
        if prefix.startswith("file://"):
            return self._load_folder(name, _inside(Path(prefix.removeprefix("file://")), rest))
        # Not among the copies that a follower keeps by digest: what lies at this address may be anything, and change.
        self._cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._cache) as copy:
            return self._load_folder(name, local_folder(open_store(prefix.rstrip("/")), rest, Path(copy)))

    def _load_folder(self, name: str, folder: Path) -> ServedModel:
        bundle = open_bundle(folder, trusted=self._trusted)
        return load_model(bundle, name, self._threads, self._batch_rows)


def _inside(root: Path, rest: str) -> Path:
    """The folder, once every link on the way to it has been followed and it is still below the root."""
    folder = (root / rest).resolve()
    if not folder.is_relative_to(root.resolve()):
        raise RequestError(f"found a link that leads out of {root}: expected a bundle below it", 403)
    return folder
