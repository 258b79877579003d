"""Source: where the bundles to serve come from, a folder or the release ledger with its object store."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

from noria.errors import BundleError, ObjectMissingError, ServingError
from noria.ml.bundle import open_bundle
from noria.ml.signature import TrustedKeys
from noria.settings import Settings
from noria.stores.opening import local_folder, open_store
from noria.stores.releases import Ledger
from serving.model import ServedModel, load_model
from serving.options import Options


def trusted_keys(options: Options, settings: Settings) -> TrustedKeys:
    """The keys whose bundles are believed."""
    return TrustedKeys(options.trusted_keys or settings.trusted_keys)


def load_folder(folder: Path, name: str, options: Options, settings: Settings) -> ServedModel:
    """Load the bundle in a folder; BundleError if it may not be served."""
    bundle = open_bundle(folder, trusted=trusted_keys(options, settings))
    return load_model(bundle, name, options.threads, options.limits.batch_rows)


class LedgerSource:
    """The champions of the task of `--follow`, one after the other."""

    def __init__(self, options: Options, settings: Settings) -> None:
        self._options = options
        # Copies of one store are not those of another, where the same digest may never have been verified.
        self._cache = settings.home / "cache" / hashlib.sha256(settings.objects.encode()).hexdigest()[:12]
        self._trusted = trusted_keys(options, settings)
        self._store = open_store(settings.objects)
        self._ledger = Ledger(
            self._store,
            options.follow,
            signer=None,
            trusted=self._trusted,
            anchors=settings.home / "anchors",
            clock=lambda: datetime.now(UTC),
        )

    def champion(self) -> str | None:
        """The digest of the bundle that is champion now."""
        champion = self._ledger.champion()
        return champion.bundle if champion else None

    def load(self, digest: str) -> ServedModel:
        """Fetch, verify and load a published bundle; BundleError if it is bad, StoreError if it cannot be had."""
        key = f"bundles/{digest}"
        if not self._store.exists(key):
            raise ObjectMissingError(f"no bundle {key} in the object store: publish it again, or promote another one")
        folder = local_folder(self._store, key, self._cache)
        try:
            bundle = open_bundle(folder, trusted=self._trusted, expected=digest)
        except BundleError:
            if folder.is_relative_to(self._cache):
                shutil.rmtree(folder, ignore_errors=True)  # a copy may have been damaged here: the next look fetches it
            raise
        return load_model(bundle, self._options.name, self._options.threads, self._options.limits.batch_rows)

    def load_first(self) -> ServedModel:
        """Load the champion; ServingError if there is none yet."""
        digest = self.champion()
        if digest is None:
            raise ServingError(
                f"task {self._options.follow!r} has no champion yet: run `noria run --task {self._options.follow}`"
            )
        return self.load(digest)
