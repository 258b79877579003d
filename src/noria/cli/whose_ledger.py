"""Whose ledger: this machine's or a cluster's, and what makes the first entry of one that holds nothing."""

from __future__ import annotations

import sys

from noria.cli.output import console
from noria.errors import BucketMissingError
from noria.settings import Settings
from noria.steps.workspace import Workspace
from noria.stores.anchor import AnchorFile
from noria.stores.chain import folder_of


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


def beginning(settings: Settings, task: str) -> str:
    """What makes the first champion of a ledger that has none, as the end of a sentence."""
    submit, run = f"`noria submit --task {task}`", f"`noria run --task {task}`"
    if not settings.kfp.host:
        return f"{run} makes one"
    return f"{run} makes one here, {submit} on the cluster" if is_elsewhere(settings) else f"{submit} makes one"


def excuse_missing_bucket(workspace: Workspace, task: str, error: BucketMissingError) -> None:
    """Say that a fresh cluster has no bucket yet; raise the error where that cannot be what is meant.

    No cluster is named then, or entries of this very ledger were seen before. Its name is told, for it may be mistyped.
    """
    settings = workspace.settings
    ledger = workspace.store.uri(folder_of(task))
    if not settings.kfp.host or AnchorFile(settings.home / "anchors", task, ledger).read():
        raise error
    bucket = settings.objects.removeprefix("s3://").partition("/")[0]
    at = f" at {settings.access.endpoint}" if settings.access.endpoint else ""
    text = (
        f"There is no release yet: the bucket {bucket}{at} is not there. On a fresh cluster the first run makes it, or "
        "you create it; if it is another that you mean, correct NORIA_OBJECTS.\n"
    )
    console(sys.stderr).print(text, style="yellow", markup=False)
