"""A home with a release ledger, in which tests make champions."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from predictor import Predictor
from tiny_models import ONE, facts_of, make_model

from noria.ml.bundle import Facts, write_bundle
from noria.ml.signature import Signer, TrustedKeys, make_key
from noria.stores.objects import ObjectStore
from noria.stores.opening import open_store
from noria.stores.releases import Ledger


class Shop:
    """A home with an object store, in which champions are made."""

    def __init__(self, home: Path, task: str = "wardrobe") -> None:
        self.home = home
        self.signer = make_key(home / "keys")
        self.store: ObjectStore = open_store(str(home / "objects"))
        self.trusted = TrustedKeys(home / "keys" / "trusted")
        self.ledger = Ledger(
            self.store,
            task,
            signer=self.signer,
            trusted=self.trusted,
            anchors=home / "anchors",
            clock=lambda: datetime.now(UTC),
        )

    def publish(self, seed: int, *, facts: Facts | None = None, signer: Signer | None = None, **model: Any) -> str:
        folder = self.home / "new"
        digest = write_bundle(
            folder,
            model=make_model(ONE, seed=seed, **model),
            facts=facts or facts_of(ONE),
            profile=b"{}",
            signer=signer or self.signer,
        )
        self.store.put_folder(f"bundles/{digest}", folder)
        shutil.rmtree(folder)
        return digest

    def promote(self, digest: str) -> str:
        evidence = self.ledger.put_evidence(b"{}")
        self.ledger.promote(
            bundle=digest,
            plan=f"{len(self.ledger.entries()):064d}",
            basis=self.ledger.basis(),
            evidence=evidence,
            reason="a test",
            actor="test",
            code="test",
        )
        return digest


def serving_digest(running: Predictor) -> str:
    return str(running.client.get("/v2/models/wardrobe").json()["parameters"]["bundle"])
