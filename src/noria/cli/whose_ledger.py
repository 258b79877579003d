"""Whose ledger: the one that a verb reads may be this machine's, where its person has the cluster's in mind."""

from __future__ import annotations

import sys

from noria.cli.output import console
from noria.settings import Settings


def is_elsewhere(settings: Settings) -> bool:
    """Whether the settings name a cluster, and a folder of this machine as the object store that the ledger is in."""
    named = bool(settings.kfp.host) or settings.serving.way == "kserve"
    return named and not settings.objects.startswith("s3://")


def warn_if_elsewhere(settings: Settings) -> None:
    """Say so, before anything is read or written; on standard error, for the answer may be JSON."""
    if not is_elsewhere(settings):
        return
    meant = "that NORIA_KFP names" if settings.kfp.host else "that NORIA_SERVING=kserve means"
    text = (
        f"This is the ledger of this machine ({settings.objects}), not that of the cluster {meant}. `make connect "
        "ENV=dev` leads to that one, with SIGN=1 for a rollback, and prints which settings to source. By hand: "
        "NORIA_OBJECTS=s3://…, NORIA_OBJECTS_ENDPOINT, NORIA_OBJECTS_KEYS and NORIA_TRUSTED_KEYS; for a rollback "
        "NORIA_SERVING=kserve and NORIA_SIGNING_KEY as well.\n"
    )
    console(sys.stderr).print(text, style="yellow", markup=False)
