"""The step deploy where an InferenceService serves: what goes up, what is put back, and what both say of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cluster_api.candidates import TASK
from cluster_api.surroundings import NAMESPACE, Cluster

from cluster.api import MANAGER
from cluster.inference_service import render
from noria.errors import ClusterError, ConflictError, LedgerError, ReleaseError, StoreError
from noria.steps import deploy as step
from noria.stores.releases import Ledger


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "TRIAL_SECONDS", 2.0)


def check_put_back(cluster: Cluster, bundle: str, champion: str) -> str:
    """The champion serves and is champion, and the last entry says what became of the bundle; returns its reason."""
    assert cluster.serves == cluster.candidates.champion == champion
    last = cluster.candidates.ledger.entries()[-1]
    assert (last.kind, last.bundle, last.champion, last.passed) == ("put-back", bundle, champion, False)
    assert cluster.candidates.ledger.verify() == ()
    return last.reason


def test_a_candidate_serves_and_then_is_champion(cluster: Cluster) -> None:
    release = cluster.candidates.judged(1.0)
    entry = cluster.candidates.deploy(release, cluster.stage())
    assert cluster.candidates.ledger.basis() == entry
    assert cluster.serves == cluster.candidates.champion == release.digest
    assert cluster.changes() == ["create"]


def test_a_repeated_step_changes_nothing(cluster: Cluster, champion: str) -> None:
    release = cluster.candidates.judged(2.0)
    first = cluster.candidates.deploy(release, cluster.stage())
    before, kinds, starts = cluster.live, cluster.candidates.kinds, [*cluster.world.starts]
    assert cluster.candidates.deploy(release, cluster.stage()) == first
    assert cluster.live == before
    assert before is not None
    assert before["metadata"]["generation"] == 2
    assert cluster.candidates.kinds == kinds
    assert cluster.world.starts == starts == [champion, release.digest]


def test_another_run_that_comes_to_the_champion_again_starts_no_pod_anew(cluster: Cluster, champion: str) -> None:
    before, again = cluster.live, cluster.candidates.judged(1.0)
    assert (again.digest, again.basis) == (champion, cluster.candidates.ledger.basis())
    cluster.candidates.deploy(again, cluster.stage())
    assert cluster.live == before
    assert cluster.world.starts == [champion]


def test_what_does_not_become_ready_is_put_back_and_told(cluster: Cluster, champion: str) -> None:
    release = cluster.candidates.judged(2.0)
    before = cluster.world.template
    cluster.world.behaviours[release.digest] = "never ready"
    with pytest.raises(ReleaseError, match="did not come up within 1 s") as caught:
        cluster.candidates.deploy(release, cluster.stage(seconds=1.0))
    told = str(caught.value)
    for part in ("FailedScheduling", "(7 times)", "1 Insufficient memory", f"bundle {champion[:12]} serves again"):
        assert part in told
    assert "somebody-else" not in told
    assert "did not come up" in check_put_back(cluster, release.digest, champion)
    cluster.world.reconcile()
    assert cluster.world.template == before  # so its pods, which still run, stay as they are


def test_a_first_release_that_does_not_come_up_leaves_no_object(cluster: Cluster) -> None:
    release = cluster.candidates.judged(1.0)
    cluster.world.behaviours[release.digest] = "never ready"
    with pytest.raises(ReleaseError, match="MinimumReplicasUnavailable") as caught:
        cluster.candidates.deploy(release, cluster.stage(seconds=1.0))
    assert "nothing serves, as before" in str(caught.value)
    check_put_back(cluster, release.digest, "")
    assert cluster.changes() == ["create", "delete"]


def test_after_it_was_put_back_the_same_release_may_come_up(cluster: Cluster, champion: str) -> None:
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "crash loop"
    with pytest.raises(ReleaseError):
        cluster.candidates.deploy(release, cluster.stage())
    check_put_back(cluster, release.digest, champion)
    cluster.world.behaviours.clear()
    cluster.candidates.deploy(release, cluster.stage())
    assert cluster.serves == cluster.candidates.champion == release.digest
    assert cluster.candidates.kinds[-2:] == ["put-back", "promoted"]


def test_a_container_that_ends_again_and_again_is_not_waited_for(cluster: Cluster, champion: str) -> None:
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "crash loop"
    with pytest.raises(ReleaseError, match="kserve-container of pod fashion-predictor-2 ended") as caught:
        cluster.candidates.deploy(release, cluster.stage(seconds=600.0))
    assert "kserve-container: ValueError: no such operator" in str(caught.value)
    check_put_back(cluster, release.digest, champion)


def test_a_bundle_that_was_altered_in_the_store_never_serves(cluster: Cluster, champion: str) -> None:
    release = cluster.candidates.judged(2.0)
    store = cluster.candidates.workspace.store
    cluster.candidates.workspace.fetch_bundle(release.digest)  # this machine's copy is good
    store.put(f"bundles/{release.digest}/model.onnx", b"something else")
    with pytest.raises(ReleaseError, match="storage-initializer") as caught:
        cluster.candidates.deploy(release, cluster.stage(seconds=600.0))
    assert "storage-initializer: fetch: " in str(caught.value)
    check_put_back(cluster, release.digest, champion)


def test_a_service_that_goes_on_with_another_bundle_is_put_back(cluster: Cluster, champion: str) -> None:
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "wrong bundle"
    with pytest.raises(ReleaseError, match=f"bundle {champion[:12]} answered: expected {release.digest[:12]}"):
        cluster.candidates.deploy(release, cluster.stage())
    check_put_back(cluster, release.digest, champion)


def test_answers_that_differ_by_more_than_the_limit_are_put_back(cluster: Cluster, champion: str) -> None:
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "wrong answers"
    with pytest.raises(
        ReleaseError, match="answers otherwise where it serves than offline: held-out row 0 differs by 2"
    ):
        cluster.candidates.deploy(release, cluster.stage())
    assert "held-out row 0" in check_put_back(cluster, release.digest, champion)


def test_pods_of_another_bundle_are_not_taken_for_those_of_this_one(cluster: Cluster, champion: str) -> None:
    """KServe's own conditions stay as they were until it has looked at the object, and so does its generation."""
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "stays behind"
    with pytest.raises(ReleaseError, match=f"its Deployment still is of s3://.*/{champion}"):
        cluster.candidates.deploy(release, cluster.stage(seconds=1.0))
    check_put_back(cluster, release.digest, champion)


def test_what_kubernetes_refuses_changes_nothing_and_names_the_permission(cluster: Cluster, champion: str) -> None:
    release, kinds = cluster.candidates.judged(2.0), cluster.candidates.kinds
    before = cluster.live
    cluster.server.denied.add(("serving.kserve.io", "inferenceservices", "patch"))
    with pytest.raises(
        ClusterError, match=r'cannot patch resource "inferenceservices".*cluster/permissions\.py'
    ) as told:
        cluster.candidates.deploy(release, cluster.stage())
    assert "Nothing had to be put back" in str(told.value)
    assert cluster.live == before
    assert cluster.candidates.kinds == kinds


def test_what_may_not_be_read_hides_nothing_else(cluster: Cluster, champion: str) -> None:
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "crash loop"
    cluster.server.denied |= {("", "events", "list"), ("", "pods/log", "get")}
    with pytest.raises(ReleaseError, match="CrashLoopBackOff") as caught:
        cluster.candidates.deploy(release, cluster.stage())
    assert 'cannot list resource "events"' in str(caught.value)
    assert "its log is not told: " in str(caught.value)
    check_put_back(cluster, release.digest, champion)


@pytest.mark.parametrize("kind", ["500", "reset", "lost answer"])
def test_a_cluster_that_stumbles_is_asked_again(cluster: Cluster, kind: str) -> None:
    for method, resource in (("PATCH", ""), ("POST", "leases"), ("PUT", "leases"), ("GET", "")):
        cluster.server.inject(kind, method=method, resource=resource, times=2)
    release = cluster.candidates.judged(1.0)
    cluster.candidates.deploy(release, cluster.stage())
    assert cluster.serves == cluster.candidates.champion == release.digest
    assert cluster.changes() == ["create"]


def test_a_field_that_somebody_else_owns_is_not_taken_from_them(cluster: Cluster, champion: str) -> None:
    key, spec = ("inferenceservices", NAMESPACE, TASK), {"predictor": {"model": {"storageUri": "s3://mine/model"}}}
    cluster.server.objects.apply(key, "kubectl", {"metadata": {"name": TASK}, "spec": spec}, force=True)
    release, before = cluster.candidates.judged(2.0), cluster.live
    assert before is not None
    with pytest.raises(ConflictError, match=r'conflict with "kubectl": \.spec\.predictor\.model\.storageUri'):
        cluster.candidates.deploy(release, cluster.stage())
    assert cluster.live is not None
    assert cluster.live["spec"] == before["spec"]
    assert cluster.candidates.champion == champion


def test_what_others_have_added_stays(cluster: Cluster, champion: str) -> None:
    key, spec = ("inferenceservices", NAMESPACE, TASK), {"predictor": {"minReplicas": 3}}
    cluster.server.objects.apply(key, "autoscaler", {"metadata": {"name": TASK}, "spec": spec}, force=False)
    release = cluster.candidates.judged(2.0)
    cluster.candidates.deploy(release, cluster.stage())
    assert cluster.live is not None
    assert cluster.live["spec"]["predictor"]["minReplicas"] == 3


def test_a_champion_that_changed_before_is_found_before_anything_is_changed(cluster: Cluster, champion: str) -> None:
    late, first = cluster.candidates.judged(2.0), cluster.candidates.judged(3.0)
    cluster.candidates.deploy(first, cluster.stage())
    before = cluster.live
    with pytest.raises(LedgerError, match=f"the champion changed from {champion} to {first.digest}"):
        cluster.candidates.deploy(late, cluster.stage())
    assert cluster.live == before
    assert late.digest not in cluster.world.starts


def test_a_champion_that_changes_meanwhile_serves_in_the_end(cluster: Cluster, champion: str) -> None:
    """Whoever writes to the ledger without a turn, such as a machine that knows of no cluster, wins all the same."""
    late, rival = cluster.candidates.judged(2.0), cluster.candidates.judged(3.0)

    def overtake(_: object) -> None:
        if cluster.serves == late.digest and cluster.candidates.champion == champion:
            cluster.candidates.deploy(rival, None)

    cluster.server.after = overtake
    with pytest.raises(LedgerError, match="the champion changed"):
        cluster.candidates.deploy(late, cluster.stage())
    assert "the champion changed" in check_put_back(cluster, late.digest, rival.digest)


def test_a_ledger_that_cannot_be_written_leaves_the_former_champion_serving(
    cluster: Cluster, champion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("the bucket is full")

    monkeypatch.setattr(Ledger, "promote", fail)
    release = cluster.candidates.judged(2.0)
    with pytest.raises(StoreError, match="the bucket is full"):
        cluster.candidates.deploy(release, cluster.stage())
    check_put_back(cluster, release.digest, champion)


def test_the_wishes_of_an_installation_are_laid_over_and_put_back_as_they_were(cluster: Cluster) -> None:
    overlay = {"spec": {"predictor": {"minReplicas": 2, "model": {"resources": {"limits": {"cpu": "2"}}}}}}
    first = cluster.candidates.judged(1.0)
    cluster.candidates.deploy(first, cluster.stage(overlay=overlay))
    before = cluster.live
    assert before is not None
    assert before["spec"]["predictor"]["model"]["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}
    second = cluster.candidates.judged(2.0)
    cluster.world.behaviours[second.digest] = "crash loop"
    with pytest.raises(ReleaseError):
        cluster.candidates.deploy(second, cluster.stage(overlay={"spec": {"predictor": {"minReplicas": 1}}}))
    assert cluster.live is not None
    assert cluster.live["spec"] == before["spec"]


def test_other_wishes_for_the_champion_have_to_come_up_too_and_are_put_back_where_they_do_not(
    cluster: Cluster, champion: str
) -> None:
    """What serves is of the right bundle all the while, and of pods that were there before."""
    before, entries = cluster.live, cluster.candidates.ledger.entries()
    assert before is not None
    cluster.world.behaviours[champion] = "stays behind"
    overlay = {"spec": {"predictor": {"model": {"resources": {"limits": {"memory": "900Gi"}}}}}}
    again = cluster.candidates.judged(1.0)
    with pytest.raises(ReleaseError, match="Deployment still is of the object as it was before"):
        cluster.candidates.deploy(again, cluster.stage(overlay=overlay, seconds=0.3))
    assert cluster.live is not None
    assert cluster.live["spec"] == before["spec"]
    assert [entry for entry in cluster.candidates.ledger.entries()[len(entries) :] if entry.changes_champion] == []


def test_a_release_waits_for_an_object_that_was_deleted_and_makes_a_new_one(cluster: Cluster, champion: str) -> None:
    key, finalizers = ("inferenceservices", NAMESPACE, TASK), ["inferenceservice.finalizers/test"]
    objects, looks = cluster.server.objects, [0]
    objects.apply(key, "kserve", {"metadata": {"name": TASK, "finalizers": finalizers}}, force=False)
    objects.delete(key, {})
    assert cluster.live is not None

    def clean_up(_: object) -> None:
        looks[0] += 1
        if looks[0] == 6:
            objects.apply(key, "kserve", {"metadata": {"name": TASK}}, force=False)

    cluster.server.after = clean_up
    before = cluster.live["metadata"]["uid"]
    cluster.candidates.deploy(cluster.candidates.judged(1.0), cluster.stage())
    assert cluster.live["metadata"]["uid"] != before
    assert cluster.serves == cluster.candidates.champion == champion


def test_a_bundle_that_the_ledger_does_not_know_is_only_replaced(cluster: Cluster) -> None:
    strange, key = "e" * 64, ("inferenceservices", NAMESPACE, TASK)
    uri = cluster.candidates.workspace.store.uri(f"bundles/{strange}")
    cluster.server.objects.apply(key, MANAGER, render(TASK, NAMESPACE, strange, uri, "", {}), force=False)
    release = cluster.candidates.judged(1.0)
    cluster.candidates.deploy(release, cluster.stage())
    assert cluster.serves == cluster.candidates.champion == release.digest
    assert cluster.changes() == ["create", "patch"]
    assert cluster.candidates.kinds == ["evaluated", "promoted"]


def test_where_predictors_follow_the_ledger_no_cluster_is_asked(cluster: Cluster) -> None:
    release = cluster.candidates.judged(1.0)
    cluster.candidates.deploy(release, None)
    assert cluster.candidates.champion == release.digest
    assert cluster.server.asked == []


def test_the_reason_of_a_put_back_is_on_the_page(cluster: Cluster, champion: str) -> None:
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "crash loop"
    with pytest.raises(ReleaseError):
        cluster.candidates.deploy(release, cluster.stage())
    decision = json.loads(Path(release.decision).read_text())
    key = f"reports/{decision['evidence_digest'][:16]}/evaluation.html"
    assert b"does not come up" in cluster.candidates.workspace.store.get(key)
