"""Credentials: the Secrets that the chart refers to and does not hold; `python -m helm.credentials dev` makes them.

Run again it makes only what is missing, and takes what one namespace lacks from another that has it. For an
environment without development parts it makes none: it says which are missing, and ends with 1.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from helm.kubectl import Data, Kubectl
from helm.reach import reach
from helm.render import NAMESPACE, environments, merged_values
from noria.errors import NoriaError, UsageError
from noria.ml.signature import Signer, make_key
from noria.settings import Settings

PRIVATE = "signing.pem"


@dataclass(frozen=True, kw_only=True)
class Needed:
    """One object: where it has to be, and how its data are made where it is nowhere yet."""

    kind: str
    name: str
    namespaces: tuple[str, ...]
    make: Callable[[], Data]
    keys: tuple[str, ...]


def main(arguments: list[str]) -> int:
    """Make what is missing; returns the exit code."""
    try:
        if len(arguments) != 1 or arguments[0] not in environments():
            raise UsageError(f"found {arguments}: expected one of {', '.join(environments())}")
        kubectl = Kubectl()
        reach(kubectl)
        return supply(kubectl, merged_values(arguments[0]))
    except NoriaError as error:
        sys.stderr.write(f"make secrets: {error}\n")
        return error.exit_code


class Cluster(Protocol):
    """Where the objects are."""

    def read(self, kind: str, name: str, namespace: str) -> Data | None:
        """An object's data as text; None where there is none."""
        ...

    def create(self, kind: str, name: str, namespace: str, data: Data) -> None:
        """Make an object that is not there."""
        ...


def supply(cluster: Cluster, values: Mapping[str, Any]) -> int:
    """Make what is missing, or say so where others have to make it; returns the exit code."""
    missing = []
    for needed in _list_needed(cluster, values):
        found = {space: cluster.read(needed.kind, needed.name, space) for space in needed.namespaces}
        there = next((data for data in found.values() if data is not None), None)
        if there is None and not values["devServices"]["enabled"]:
            missing.append(f"{needed.kind} {needed.name} ({', '.join(needed.keys)}) in {', '.join(needed.namespaces)}")
            continue
        data = there if there is not None else needed.make()
        for space in (space for space, told in found.items() if told is None):
            cluster.create(needed.kind, needed.name, space, data)
            sys.stdout.write(f"made {needed.kind} {needed.name} in {space}\n")
    for each in missing:
        sys.stderr.write(f"missing: {each}\n")
    return 1 if missing else 0


def _list_needed(cluster: Cluster, values: Mapping[str, Any]) -> list[Needed]:
    names, spaces = values["secrets"], values["namespaces"]
    pipelines, serving = spaces["pipelines"], spaces["serving"]
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    store = Needed(
        kind="Secret",
        name=names["s3"],
        namespaces=(NAMESPACE, serving, pipelines),
        make=lambda: {keys[0]: f"noria-{secrets.token_hex(6)}", keys[1]: secrets.token_hex(24)},
        keys=keys,
    )
    return [
        *([store] if store.name else ()),  # a role stands in where no Secret is named
        _password(names["redis"], NAMESPACE, serving),
        _password(names["postgresql"], NAMESPACE),
        # Before the public keys, which are made of it.
        Needed(kind="Secret", name=names["signing"], namespaces=(pipelines,), make=_own_key, keys=(PRIVATE,)),
        Needed(
            kind="ConfigMap",
            name=names["trustedKeys"],
            namespaces=(serving, pipelines),
            make=lambda: _trusted(cluster.read("Secret", names["signing"], pipelines) or {}),
            keys=("<key id>.pem",),
        ),
    ]


def _password(name: str, *namespaces: str) -> Needed:
    def make() -> Data:
        return {"password": secrets.token_hex(24)}

    return Needed(kind="Secret", name=name, namespaces=namespaces, make=make, keys=("password",))


def _own_key() -> Data:
    """This project's signing key, so that a cluster and a laptop trust the same; it is made where there is none."""
    settings = Settings.from_environment()
    if not settings.signing_key.exists():
        make_key(settings.signing_key.parent)
    return {PRIVATE: settings.signing_key.read_text()}


def _trusted(signing: Data) -> Data:
    """The public keys that this project trusts, and that of the key which signs in the cluster."""
    found = {path.name: path.read_text() for path in Settings.from_environment().trusted_keys.glob("*.pem")}
    if text := signing.get(PRIVATE):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, PRIVATE)
            path.touch(mode=0o600)
            path.write_text(text)
            signer = Signer(path)
        found[f"{signer.key_id}.pem"] = signer.public_pem.decode()
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
