"""The object that a release applies: KServe's own schema takes it, with no field that it does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cluster.inference_service import content_of, digest_of, holds, parse_overlay, render, source_of
from noria.errors import UsageError

SCHEMAS = Path(__file__).parents[3] / "shared" / "crds"
SCHEMA = SCHEMAS / "serving.kserve.io_v1beta1_InferenceService.json"
DIGEST, PLAN = "3f" * 32, "9c" * 32
URI = f"s3://models/noria/bundles/{DIGEST}"
OVERLAY = {
    "metadata": {"annotations": {"prometheus.io/scrape": "true"}},
    "spec": {"predictor": {"minReplicas": 2, "maxReplicas": 4, "model": {"resources": {"limits": {"cpu": "2"}}}}},
}


def made(overlay: dict[str, Any] | None = None) -> dict[str, Any]:
    return render("fashion", "noria-serving", DIGEST, URI, PLAN, overlay or {})


def unknown(value: Any, schema: dict[str, Any], where: str = "") -> list[str]:
    """The fields that the schema does not name, which an API server drops without a word."""
    if isinstance(value, list):
        return [each for item in value for each in unknown(item, schema.get("items", {}), f"{where}[]")]
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    known, other = schema.get("properties", {}), schema.get("additionalProperties")
    found = []
    for name, part in value.items():
        if name not in known and other is None and known:
            found.append(f"{where}.{name}")
        found += unknown(part, known.get(name, other if isinstance(other, dict) else {}), f"{where}.{name}")
    return found


@pytest.mark.parametrize("overlay", [{}, OVERLAY], ids=["as it is", "with an installation's wishes"])
def test_kserves_schema_takes_it(overlay: dict[str, Any]) -> None:
    if not SCHEMA.exists():
        pytest.skip(f"KServe's schemas are not beside the project: looked for {SCHEMA}")
    schema, manifest = json.loads(SCHEMA.read_text()), made(overlay)
    jsonschema.Draft202012Validator(schema).validate(manifest)
    assert unknown(manifest["spec"], schema["properties"]["spec"]) == []


def test_a_field_that_kserve_does_not_know_would_be_found() -> None:
    if not SCHEMA.exists():
        pytest.skip(f"KServe's schemas are not beside the project: looked for {SCHEMA}")
    manifest = made({"spec": {"predictor": {"replicas": 2}}})
    schema = json.loads(SCHEMA.read_text())["properties"]["spec"]
    assert unknown(manifest["spec"], schema) == [".predictor.replicas"]


def test_it_names_the_digest_in_full_and_as_far_as_a_label_goes() -> None:
    manifest = made()
    assert (digest_of(manifest), source_of(manifest)) == (DIGEST, URI)
    assert manifest["metadata"]["labels"]["noria.dev/bundle"] == DIGEST[:63]
    assert manifest["metadata"]["annotations"]["noria.dev/plan"] == PLAN
    assert manifest["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"


def test_its_pods_are_hardened_and_bounded() -> None:
    predictor = made()["spec"]["predictor"]
    assert predictor["automountServiceAccountToken"] is False
    assert predictor["securityContext"]["runAsNonRoot"] is True
    assert predictor["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert set(predictor["model"]["resources"]) == {"requests", "limits"}


def test_wishes_are_laid_over_and_never_decide_what_a_release_decides() -> None:
    manifest = made(OVERLAY)
    assert manifest["spec"]["predictor"]["minReplicas"] == 2
    assert manifest["spec"]["predictor"]["model"]["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}
    assert manifest["metadata"]["annotations"]["prometheus.io/scrape"] == "true"
    assert digest_of(manifest) == DIGEST


@pytest.mark.parametrize(
    "text",
    ["[]", "{", '{"kind": "Pod"}', '{"spec": {"predictor": {"model": {"storageUri": "s3://mine"}}}}'],
)
def test_wishes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="NORIA_SERVING_OBJECT"):
        parse_overlay(text)


def test_what_a_cluster_adds_and_the_plan_do_not_make_another_object() -> None:
    live = made()
    live["status"] = {"conditions": []}
    live["spec"]["predictor"]["minReplicas"] = 1
    again = render("fashion", "noria-serving", DIGEST, URI, "another", {})
    assert holds(live, again)
    assert not holds(live, made(OVERLAY))
    assert not holds(live, render("fashion", "noria-serving", "e" * 64, URI, PLAN, {}))


def resources(cpu: object, memory: object) -> dict[str, Any]:
    return {"predictor": {"model": {"resources": {"requests": {"cpu": cpu, "memory": memory}}}}}


@pytest.mark.parametrize(("cpu", "memory"), [("1", "2Gi"), (1, "2048Mi"), ("1000m", 2147483648), ("1.0", "2097152Ki")])
def test_an_amount_that_kubernetes_writes_anew_is_no_other_object(cpu: object, memory: object) -> None:
    assert holds(resources("1", "2Gi"), resources(cpu, memory))
    assert holds(resources(cpu, memory), resources("1000m", "2048Mi"))


@pytest.mark.parametrize(
    ("cpu", "memory"), [("1001m", "2Gi"), ("1", "2G"), ("one", "2Gi"), (None, "2Gi"), (True, "2Gi")]
)
def test_another_amount_is(cpu: object, memory: object) -> None:
    assert not holds(resources("1", "2Gi"), resources(cpu, memory))


def test_what_only_looks_like_an_amount_is_compared_as_it_is() -> None:
    one, other = ({"metadata": {"annotations": {"prometheus.io/port": port}}} for port in ("1000m", "1"))
    assert not holds(one, other)


def test_items_of_a_list_are_looked_at_one_by_one() -> None:
    def sidecar(cpu: str, **more: object) -> dict[str, Any]:
        return {"predictor": {"containers": [{"name": "s", "resources": {"limits": {"cpu": cpu}}, **more}]}}

    assert holds(sidecar("1", imagePullPolicy="Always"), sidecar("1000m"))
    assert not holds(sidecar("1"), sidecar("2"))
    assert not holds(made()["spec"], sidecar("1"))


def test_it_carries_a_digest_of_all_but_the_plan() -> None:
    other_wishes = made({"spec": {"predictor": {"minReplicas": 2}}})
    assert content_of(made()) == content_of(render("fashion", "noria-serving", DIGEST, URI, "another", {}))
    assert content_of(made()) != content_of(other_wishes)
    assert content_of(made()) != content_of(render("fashion", "noria-serving", "e" * 64, URI, PLAN, {}))
