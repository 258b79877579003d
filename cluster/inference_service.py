"""Inference service: the object by which a bundle serves, and what an object that is there says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from cluster.permissions import SERVICES
from cluster.quantities import AMOUNTS, is_same_amount
from noria.errors import UsageError

BUNDLE = "noria.dev/bundle"  # an annotation with the whole digest, and a label with as much as fits
PLAN = "noria.dev/plan"
OBJECT = "noria.dev/object"  # an annotation: what all else of the object comes to, for KServe hands it on to the pods
RUNTIME = "noria"  # the ServingRuntime, and the storage container that verifies what it fetches
ACCOUNT = "noria-predictor"
LABEL_LENGTH = 63
USER = 65532
GRACE_SECONDS = 60  # longer than the predictor's drain and its grace together

Manifest = Mapping[str, Any]  # an object of Kubernetes, whose form is the cluster's


def parse_overlay(text: str) -> Manifest:
    """Read NORIA_SERVING_OBJECT; UsageError unless it is an object that leaves alone what a release decides."""
    try:
        overlay = msgspec.json.decode(text, type=dict[str, Any]) if text else {}
    except msgspec.DecodeError as error:
        raise UsageError(f"NORIA_SERVING_OBJECT is no JSON object ({error}): write one, or leave it empty") from error
    model = _at(overlay, "spec", "predictor", "model")
    if set(overlay) - {"metadata", "spec"} or set(model) & {"storageUri", "storage", "modelFormat"}:
        raise UsageError(
            "NORIA_SERVING_OBJECT sets what a release decides: expected only metadata and spec, without the model's "
            "storage and format"
        )
    return overlay


def render(task: str, namespace: str, digest: str, uri: str, plan: str, overlay: Manifest) -> dict[str, Any]:
    """The object by which the bundle at `uri` serves the task; the overlay wins, except where a release decides."""
    own = {
        "metadata": {"annotations": {"serving.kserve.io/deploymentMode": "Standard"}},
        "spec": {
            "predictor": {
                "serviceAccountName": ACCOUNT,
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": USER,
                    "runAsGroup": USER,
                    "fsGroup": USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "terminationGracePeriodSeconds": GRACE_SECONDS,
                "storageContainerName": RUNTIME,
                "model": {
                    "runtime": RUNTIME,
                    "resources": {
                        "requests": {"cpu": "250m", "memory": "512Mi"},
                        "limits": {"cpu": "1", "memory": "1Gi"},
                    },
                },
            }
        },
    }
    decided = {
        "apiVersion": SERVICES.api_version,
        "kind": "InferenceService",
        "metadata": {
            "name": task,
            "namespace": namespace,
            "labels": {BUNDLE: digest[:LABEL_LENGTH], "app.kubernetes.io/managed-by": "noria"},
            "annotations": {BUNDLE: digest} | ({PLAN: plan} if plan else {}),
        },
        "spec": {"predictor": {"model": {"modelFormat": {"name": "noria", "version": "1"}, "storageUri": uri}}},
    }
    whole = _laid_over(_laid_over(own, overlay), decided)
    return _laid_over(whole, {"metadata": {"annotations": {OBJECT: _digest(whole)}}})


def digest_of(manifest: Manifest) -> str:
    """The bundle that an object serves; "" where it does not say so."""
    return str(_at(manifest, "metadata", "annotations").get(BUNDLE, ""))


def content_of(manifest: Manifest) -> str:
    """What the object as a whole comes to, but for the plan; "" where it does not say so."""
    return str(_at(manifest, "metadata", "annotations").get(OBJECT, ""))


def source_of(manifest: Manifest) -> str:
    """The address that its bundle is fetched from."""
    return str(_at(manifest, "spec", "predictor", "model").get("storageUri", ""))


def uid_of(manifest: Manifest) -> str:
    return str(_at(manifest, "metadata").get("uid", ""))


def is_leaving(manifest: Manifest) -> bool:
    """Whether somebody has deleted it, and it waits for those who clean up after it."""
    return bool(_at(manifest, "metadata").get("deletionTimestamp"))


def version_of(manifest: Manifest) -> str:
    return str(_at(manifest, "metadata").get("resourceVersion", ""))


def holds(live: Any, wanted: Any, *, amounts: bool = False) -> bool:
    """Whether the live object has all that is wanted; what the cluster or others have added to it does not matter.

    The plan does not count: pods take the annotations over, and would start anew for another run with the same bundle.
    Nor does it how an amount is written.
    """
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            holds(live.get(key), value, amounts=amounts or key in AMOUNTS)
            for key, value in wanted.items()
            if key != PLAN
        )
    if isinstance(wanted, list):
        same = isinstance(live, list) and len(live) == len(wanted)
        return same and all(holds(*pair, amounts=amounts) for pair in zip(live, wanted, strict=True))
    return is_same_amount(live, wanted) if amounts else bool(live == wanted)


def _digest(whole: Manifest) -> str:
    """Sixteen digits of the sha256 of it without the plan, which may differ where nothing else does."""
    metadata = whole["metadata"]
    annotations = {name: text for name, text in metadata["annotations"].items() if name != PLAN}
    content = {**whole, "metadata": {**metadata, "annotations": annotations}}
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:16]


def _laid_over(below: Manifest, above: Manifest) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _laid_over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _at(manifest: Manifest, *keys: str) -> Manifest:
    """The object at these keys; an empty one where there is none."""
    for key in keys:
        found = manifest.get(key)
        manifest = found if isinstance(found, Mapping) else {}
    return manifest
