"""Fetch: bring a published bundle into a folder, verified, before a predictor starts: `python -m serving.fetch`.

It is the program of the storage container that KServe runs first in a pod; its arguments are an address and a folder,
usually a volume. Exit code 0 once the whole bundle is there, 1 if it is not, with one line that says why, 2 for a
wrong command line.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from noria.errors import BundleError, NoriaError, StoreError, UsageError
from noria.ml.bundle import FILES, RULE_FILE, Bundle, open_bundle
from noria.ml.durable import STAGING, staged, sync_folder
from noria.ml.envelope import SIGNATURE_FILE
from noria.ml.signature import TrustedKeys
from noria.settings import Settings
from noria.stores.opening import open_store

ADDRESS = re.compile(r"(?P<store>.+)/(?P<digest>[0-9a-f]{64})/?")


def fetch(address: str, folder: Path, trusted: TrustedKeys) -> Bundle:
    """Bring the bundle at `s3://…/<digest>` into the folder; done again, it changes nothing.

    Every byte is verified before the folder shows it, and the signature's file comes last: without it a folder is no
    bundle to anybody. Raises StoreError where the bundle cannot be had or the folder not be written, BundleError where
    it is not the one of that digest or not signed by a trusted key, UsageError for an address without a digest.
    """
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise UsageError(f"{address!r} is not a bundle's address: expected s3://bucket/prefix/bundles/<sha256>")
    digest = found["digest"]
    try:
        return open_bundle(folder, trusted=trusted, expected=digest)
    except BundleError:
        pass  # a new folder, or one that a killed run left
    try:
        _clear(folder)
        # The folder is a volume's own root, beside which nothing can be written: so within it.
        with staged(folder) as staging:
            whole = staging / digest
            open_store(found["store"]).fetch_folder(digest, whole)
            open_bundle(whole, trusted=trusted, expected=digest)
            for name in sorted(
                (path.name for path in whole.iterdir()), key=lambda name: (name == SIGNATURE_FILE, name)
            ):
                (whole / name).rename(folder / name)
        sync_folder(folder)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}): expected an empty folder with room for the bundle; mount "
            "a volume there that this user may write"
        ) from error
    return open_bundle(folder, trusted=trusted, expected=digest)


def _clear(folder: Path) -> None:
    """Remove what a killed run left; StoreError where the folder holds anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.name.startswith(STAGING):
            shutil.rmtree(path)
        elif path.name in FILES | {RULE_FILE} and path.is_file():
            path.unlink()
        else:
            raise StoreError(f"{folder} holds {path.name}: expected an empty folder, or what is left of a bundle")


def main(arguments: Sequence[str]) -> int:
    """Fetch, and tell on standard error what came of it; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.fetch",
        description="Bring a published bundle into a folder, verified, whole or not at all.",
        epilog="example: python -m serving.fetch s3://models/noria/bundles/3f2a… /mnt/models",
    )
    parser.add_argument("address", metavar="ADDRESS", help="s3://bucket/prefix/bundles/<sha256>")
    parser.add_argument("folder", metavar="DIR", type=Path, help="an empty folder")
    parser.add_argument(
        "--trusted-keys",
        metavar="DIR",
        type=Path,
        help="the folder of public keys that are believed (default: what NORIA_TRUSTED_KEYS names)",
    )
    given = parser.parse_args(arguments)
    try:
        trusted = TrustedKeys(given.trusted_keys or Settings.from_environment().trusted_keys)
        bundle = fetch(given.address, given.folder, trusted)
    except NoriaError as error:
        sys.stderr.write(f"fetch: {' '.join(str(error).split())}\n")
        return error.exit_code
    sys.stderr.write(f"fetch: bundle {bundle.digest} is in {given.folder}, signed by key {bundle.key_id}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
