"""Live: which bundle an InferenceService serves, held against the champion that the ledger names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from noria.cli.output import console
from noria.errors import NoriaError
from noria.settings import Settings

Finding = Literal["champion", "another", "nothing", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Live:
    """What was found of the InferenceService: `bundle` is the one that it names, `told` what to make of that."""

    found: Finding
    bundle: str
    told: str


def look_at_live(settings: Settings, task: str, champion: str) -> Live | None:
    """Ask the cluster once; None where predictors follow the ledger, and "unknown" where it does not say."""
    if settings.serving.way == "ledger":
        return None
    from cluster.stage import named_bundle

    where = f"InferenceService {task} in namespace {settings.serving.namespace}"
    try:
        bundle = named_bundle(settings.serving.namespace, task)
    except NoriaError as error:
        return Live(found="unknown", bundle="", told=f"what {where} serves is not known: {error}")
    if bundle == champion:
        told = f"{where} serves it" if champion else f"{where} serves no bundle"
        return Live(found="champion" if champion else "nothing", bundle=bundle, told=told)
    again = f"`noria rollback --task {task} --to {champion[:12]} --reason …`"
    if not bundle:
        return Live(found="nothing", bundle="", told=f"{where} serves no bundle: {again} lets the champion serve")
    way = f"{again} lets the champion serve again" if champion else "the next release completes that, or puts it back"
    told = (
        f"{where} serves bundle {bundle[:12]}, which is not the champion: a release is at work, or was killed before "
        f"it was done. If none is, {way}"
    )
    return Live(found="another", bundle=bundle, told=told)


def show_live(live: Live | None) -> None:
    """Tell it in a line; a warning where it is not the champion."""
    if live is None:
        return
    style = None if live.found == "champion" else "yellow"
    console().print(f"  {live.told}", style=style, soft_wrap=True, markup=False)
