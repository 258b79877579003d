"""Doctor, cluster part: does the cluster that the settings name have what a run and a release need?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from noria.cli.doctor_doubts import UnneededError, UntoldError
from noria.cli.doctor_places import There, check_objects, check_registry
from noria.errors import ClusterError, NoriaError
from noria.settings import Settings, lost_kubeconfig

if TYPE_CHECKING:
    from cluster.examination import Examination

OLDEST_KFP, OLDEST_KSERVE = (2, 15), (0, 20)
# Whom Kubeflow Pipelines runs steps as where a run names nobody: alone, and with many users.
USUAL_ACCOUNT, USUAL_ACCOUNT_OF_MANY = "pipeline-runner", "default-editor"


def cluster_checks(settings: Settings) -> dict[str, Callable[[], str]]:
    """What there is to look at; one line where no cluster is configured, which is no fault."""
    named = _is_named()
    if not (settings.kfp.host or named or settings.serving.way == "kserve"):
        return {"cluster": _no_cluster}
    checks: dict[str, Callable[[], str]] = {"Kubeflow Pipelines": partial(_kfp, settings)}
    there = cache(partial(_settings_there, settings, named=named))  # asked once, by whoever is first to need it
    checks["KServe"] = partial(_kserve, settings, there, named=named)
    checks["rights to serve"] = partial(_rights, settings, there, named=named)
    if settings.kfp.host:  # else the steps run here, and their store is looked at above
        checks["object store there"] = partial(check_objects, settings, there)
    checks["registry of features"] = partial(check_registry, settings, there)
    return checks


def _no_cluster() -> str:
    raise UnneededError("none is configured (NORIA_KFP, KUBECONFIG): runs are made on this machine")


def _is_named() -> bool:
    """Whether Kubernetes is named here; a project without the room for it, or without its client, names none."""
    try:
        from cluster.examination import is_configured

        return is_configured()
    except ModuleNotFoundError:
        return False


def _kfp(settings: Settings) -> str:
    if not settings.kfp.host:
        raise UnneededError("NORIA_KFP is not set: `noria submit` has nowhere to go")
    from noria.cli.kubeflow import connect

    kubeflow = connect().kubeflow
    health = kubeflow.health
    where = f"at {settings.kfp.host}, " + (f"namespace {settings.kfp.namespace}" if health.multi_user else "one user")
    if _older(health.release, OLDEST_KFP):
        raise ClusterError(f"{health.release} {where}: expected {_words(OLDEST_KFP)} or later; bring it up to date")
    kubeflow.runs(count=1)  # which whoever may ask what it is need not be allowed
    return f"{health.release} {where}; it lets you see its runs"


def _kserve(settings: Settings, there: There, *, named: bool) -> str:
    if not named:
        raise _lack(settings, "no KUBECONFIG: nobody can look for it here")
    settings = _as_set_there(settings, there())
    try:
        examination = _examination(settings)
        has_kserve = examination.has_kserve()
    except ClusterError as error:
        raise _lack(settings, str(error), well=None) from error
    if not has_kserve:
        raise _lack(settings, "the cluster has none: install it, in Standard mode")
    release = examination.kserve_release()
    if _older(release, OLDEST_KSERVE):
        raise ClusterError(f"{release}: expected {_words(OLDEST_KSERVE)} or later; bring it up to date")
    return release or "it is there; of which release you may not see"


def _rights(settings: Settings, there: There, *, named: bool) -> str:
    if not named:
        raise _lack(settings, "no KUBECONFIG: nobody can ask for them here")
    from cluster.permissions import VERBS

    settings = _as_set_there(settings, there())
    namespace, account = settings.serving.namespace, _account(settings)
    who = f"service account {account[1]} of namespace {account[0]}" if account else "you"
    try:
        examination = _examination(settings)
        if account and not examination.may_ask():
            raise _lack(settings, _untold(namespace, account), kind=UntoldError)
        lacking = examination.lacking(VERBS, account)
    except ClusterError as error:
        found, silent, _ = str(error).partition(" does not answer")  # of which the line about KServe tells more
        raise _lack(settings, f"{found}{silent}", well=None) from error
    if lacking:
        whom = "it, by the chart's value pipelines.serviceAccount" if account else "whoever deploys, or ask for it"
        found = f"in namespace {namespace} {who} may not {', '.join(lacking)}"
        raise _lack(settings, f"{found}: bind the Role that the chart makes to {whom}")
    return f"in namespace {namespace} {who} may do all {len(VERBS)} that the step deploy needs"


def _examination(settings: Settings) -> Examination:
    """The door to the cluster of KUBECONFIG; ClusterError where that names none."""
    from cluster.examination import Examination

    if lost := lost_kubeconfig():
        raise ClusterError(f"KUBECONFIG is {lost}, which is not there: expected the file of a cluster; correct it")
    try:
        return Examination.of(settings.serving.namespace)
    except ClusterError as error:
        raise ClusterError(
            "what KUBECONFIG names leads to no cluster: expected a context in it; `kubectl config get-contexts` lists "
            "them, and `kubectl config use-context NAME` chooses"
        ) from error


def _account(settings: Settings) -> tuple[str, str] | None:
    """Namespace and name of whom the step deploy works as; None where it runs here, as whoever types."""
    if not settings.kfp.host:
        return None
    if settings.kfp.service_account:
        return settings.kfp.namespace, settings.kfp.service_account
    from noria.cli.kubeflow import connect

    try:
        many = connect().kubeflow.health.multi_user
    except NoriaError:  # which the line about Kubeflow Pipelines tells
        many = False
    return settings.kfp.namespace, USUAL_ACCOUNT_OF_MANY if many else USUAL_ACCOUNT


def _untold(namespace: str, account: tuple[str, str]) -> str:
    who = f"system:serviceaccount:{account[0]}:{account[1]}"
    return (
        f"what {who}, whom the step deploy works as, may do in namespace {namespace} is not known: you may not create "
        "localsubjectaccessreviews there; have somebody who may run `noria doctor`, or "
        f"`kubectl auth can-i --list --namespace {namespace} --as {who}`"
    )


def _settings_there(settings: Settings, *, named: bool) -> Mapping[str, str]:
    """What the steps on the cluster are told, which is what counts there; nothing where that cannot be read."""
    if not (settings.kfp.host and named):
        return {}
    from cluster.examination import Examination
    from pipelines.placement import SETTINGS

    try:
        return Examination.of(settings.kfp.namespace).settings(SETTINGS)
    except ClusterError:
        return {}


def _as_set_there(settings: Settings, there: Mapping[str, str]) -> Settings:
    """With what the steps are told about serving, where that is known."""
    serving = settings.serving
    way, namespace = there.get("NORIA_SERVING"), there.get("NORIA_SERVING_NAMESPACE")
    return replace(settings, serving=replace(serving, way=way or serving.way, namespace=namespace or serving.namespace))


def _lack(
    settings: Settings, found: str, *, well: bool | None = True, kind: type[NoriaError] = ClusterError
) -> NoriaError:
    """A lack, as a fault only where the settings need what is lacking; `well` is what it is where they do not."""
    if settings.serving.way == "kserve":
        return kind(f"{found}. NORIA_SERVING is kserve, which needs it")
    return UnneededError(f"{found}. Needed only with NORIA_SERVING=kserve", well=well)


def _older(release: str, oldest: tuple[int, int]) -> bool:
    """Whether it says that it is older; what says nothing is taken for good."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return bool(found) and (int(found[1]), int(found[2])) < oldest if found else False


def _words(release: tuple[int, int]) -> str:
    return ".".join(map(str, release))
