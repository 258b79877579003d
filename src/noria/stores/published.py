"""Published: a bundle as the store holds it now, verified, and not a copy from earlier."""

from __future__ import annotations

import tempfile
from pathlib import Path

from noria.errors import BundleError, ObjectMissingError
from noria.ml.bundle import Bundle, open_bundle
from noria.ml.signature import TrustedKeys
from noria.stores.objects import ObjectStore
from noria.stores.opening import local_folder


def verify_published(store: ObjectStore, digest: str, *, task: str, trusted: TrustedKeys) -> Bundle:
    """Open the bundle from the store; BundleError unless it is there, whole, signed by a trusted key, of the task."""
    with tempfile.TemporaryDirectory(prefix="noria-", ignore_cleanup_errors=True) as scratch:
        try:
            folder = local_folder(store, f"bundles/{digest}", Path(scratch))
        except ObjectMissingError as error:
            raise BundleError(
                f"bundle {digest} is gone: expected it at {store.uri(f'bundles/{digest}')}; restore it from a copy, or "
                "choose another one"
            ) from error
        bundle = open_bundle(folder, trusted=trusted, expected=digest)
    if bundle.facts.task != task:
        raise BundleError(f"bundle {digest} is of task {bundle.facts.task}: expected one of {task}; choose another one")
    return bundle
