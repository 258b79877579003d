"""Source: where the bundles to serve come from, a folder or the release ledger with its object store."""

from __future__ import annotations

import hashlib
import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path

from noria.errors import BundleError, ObjectMissingError, ServingError
from noria.ml.bundle import open_bundle
from noria.ml.signature import TrustedKeys
from noria.settings import Settings
from noria.stores.opening import local_folder, open_store
from noria.stores.releases import Ledger
from noria.stores.standing import standing_after
from noria.task import task_names
from serving.model import ServedModel, load_model
from serving.options import Options

log = logging.getLogger("serving")


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

    def load_first(self) -> tuple[ServedModel, str]:
        """Load the champion, or the one that stands in for it; then the second part is the digest of the champion.

        ServingError if there is no champion yet. Where its bundle is bad or gone, the champion before it stands in,
        if that one's task had declared a fallback: what the present one declares cannot be read. Otherwise BundleError
        or StoreError, as from `load`.
        """
        digest = self.champion()
        if digest is None:
            raise ServingError(self._tell_who_is_there())
        try:
            return self.load(digest), ""
        except (BundleError, ObjectMissingError) as error:
            former = self._load_former(digest)
            if former is None:
                raise
            log.warning("champion %s cannot be served, %s stands in for it: %s", digest, former.version, error)
            return former, digest

    def _tell_who_is_there(self) -> str:
        """Why there is nobody to follow, and what there is instead: another ledger, another store, or a first run."""
        task, tasks = self._options.follow, task_names()
        there = sorted({key.split("/")[1] for key in self._store.list("releases/")})
        ledgers = f"ledgers of {', '.join(there)}" if there else "no ledger of any task"
        place = self._store.uri("releases")
        if task in tasks or task in there:
            step = f"run `noria run --task {task}`, which makes one"
        else:
            step = f"follow a task that there is ({', '.join(tasks)})"
        return (
            f"task {task!r} has no champion yet: found {ledgers} at {place}; {step}, or name another store with "
            "NORIA_HOME or NORIA_OBJECTS"
        )

    def _load_former(self, champion: str) -> ServedModel | None:
        """The next former champion below the present one that can be loaded, if it may stand in."""
        line = standing_after(self._ledger.entries()).line
        for digest in reversed([each for each in line if each != champion]):
            try:
                model = self.load(digest)
            except (BundleError, ObjectMissingError) as error:
                log.warning("former champion %s cannot be served either: %s", digest, error)
            else:
                return model if model.facts.fallback else None
        return None
