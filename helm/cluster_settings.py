"""Cluster settings: the files by which the command `noria` on this machine works on a cluster.

They lie in a folder of their own for each cluster, which nobody else may read: `settings`, to be sourced by a shell,
the keys of the object store, the public keys that are trusted, and, where that was asked for, the key that signs.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helm.kubectl import Data
from noria.errors import ClusterError, UsageError

CLUSTERS = "clusters"
FILE, STORE_KEYS, TRUSTED, SIGNING, CONTEXT = "settings", "keys", "trusted", "signing.pem", "context"
# What the ConfigMap says that holds outside of the cluster as well.
SAME_HERE = (
    "NORIA_OBJECTS", "NORIA_OBJECTS_REGION", "NORIA_SERVING", "NORIA_SERVING_NAMESPACE", "NORIA_SERVING_SECONDS",
    "NORIA_SERVING_OBJECT",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Found:
    """What there is in the cluster: the settings, and the files' contents; `signing` is empty unless asked for.

    `installation` tells one installation from a later one in the same cluster, whose ledger begins anew.
    """

    context: str
    installation: str
    settings: Mapping[str, str]
    store_keys: Data
    trusted: Data
    signing: Data


def folder_of(home: Path, context: str) -> Path:
    """Where a cluster's files lie below a home that is none of theirs; UsageError for a home that they have set."""
    if home.parent.parent.name == CLUSTERS:
        raise UsageError(
            f"NORIA_HOME is {home}, which is that of a cluster: this shell has taken its settings over; run "
            "`make connect` in another one"
        )
    return home / CLUSTERS / re.sub(r"[^A-Za-z0-9._-]+", "-", context)


def write(folder: Path, found: Found, ways: dict[str, str], kubeconfig: str) -> Path:
    """Write the files anew, and return the one to be sourced; `ways` are the variables that this machine decides on."""
    for name in (STORE_KEYS, TRUSTED):
        shutil.rmtree(folder / name, ignore_errors=True)
    forget_signing_key(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name, files in ((STORE_KEYS, found.store_keys), (TRUSTED, found.trusted), ("", found.signing)):
        for key, text in files.items():
            _write_for_one(folder / name / _plain(key), text)
    chosen = folder / CONTEXT
    _write_for_one(chosen, f"apiVersion: v1\nkind: Config\ncurrent-context: {json.dumps(found.context)}\n")
    variables = {name: found.settings[name] for name in SAME_HERE if found.settings.get(name)} | {
        # Of its own: caches and what was seen of the ledger are not those of runs on this machine.
        "NORIA_HOME": str(folder / found.installation),
        "NORIA_TRUSTED_KEYS": str(folder / TRUSTED),
        # It is not there unless it was asked for, and then nothing signs: no other key is made in its place.
        "NORIA_SIGNING_KEY": str(folder / SIGNING),
        # The shell keeps to this cluster, whichever another one chooses: of several files that name one kubectl
        # believes the first, and Kubernetes' client for Python the last.
        "KUBECONFIG": os.pathsep.join((str(chosen), kubeconfig, str(chosen))),
    }
    if found.store_keys:
        variables["NORIA_OBJECTS_KEYS"] = str(folder / STORE_KEYS)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted((variables | ways).items())]
    _write_for_one(folder / FILE, "\n".join([f"# noria on {found.context}; `make connect` writes it.", *lines, ""]))
    return folder / FILE


def forget_signing_key(folder: Path) -> None:
    """Remove the key that signs from this machine."""
    (folder / SIGNING).unlink(missing_ok=True)


def _plain(name: str) -> str:
    """A key of a Secret as a file's name; Kubernetes lets it hold letters, digits and -_. alone."""
    if not re.fullmatch(r"[-._a-zA-Z0-9]+", name) or set(name) == {"."}:
        raise ClusterError(f"the cluster's data have the key {name!r}, which is no file's name: look who made them")
    return name


def _write_for_one(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)  # whoever had made it might read it
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
