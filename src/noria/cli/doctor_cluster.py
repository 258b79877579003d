"""Doctor, cluster part: does the cluster that the settings name have what a run and a release need?"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from noria.errors import ClusterError, NoriaError
from noria.settings import Settings

OLDEST_KFP, OLDEST_KSERVE = (2, 15), (0, 20)
PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
SECONDS = 3.0
# Whom Kubeflow Pipelines runs steps as where a run names nobody: alone, and with many users.
USUAL_ACCOUNT, USUAL_ACCOUNT_OF_MANY = "pipeline-runner", "default-editor"


class UntoldError(NoriaError):
    """It cannot be found out from here, and may be well."""


def cluster_checks(settings: Settings) -> dict[str, Callable[[], str]]:
    """What there is to look at; one line where no cluster is configured, which is no fault."""
    named = _is_named()
    if not (settings.kfp.host or named or settings.serving.way == "kserve"):
        return {"cluster": lambda: "none is configured (NORIA_KFP, KUBECONFIG): runs are made on this machine"}
    checks: dict[str, Callable[[], str]] = {"Kubeflow Pipelines": partial(_kfp, settings)}
    checks["KServe"] = partial(_kserve, settings, named=named)
    checks["rights to serve"] = partial(_rights, settings, named=named)
    checks["object store there"] = partial(_objects, settings)
    checks["registry of features"] = partial(_registry, settings)
    return checks


def _is_named() -> bool:
    """Whether Kubernetes is named here; a project without the room for it, or without its client, names none."""
    try:
        from cluster.examination import is_configured

        return is_configured()
    except ModuleNotFoundError:
        return False


def _kfp(settings: Settings) -> str:
    if not settings.kfp.host:
        return "NORIA_KFP is not set: `noria submit` has nowhere to go"
    from noria.cli.kubeflow import connect

    health = connect().kubeflow.health
    where = f"at {settings.kfp.host}, " + (f"namespace {settings.kfp.namespace}" if health.multi_user else "one user")
    if _older(health.release, OLDEST_KFP):
        raise ClusterError(f"{health.release} {where}: expected {_words(OLDEST_KFP)} or later; bring it up to date")
    return f"{health.release} {where}"


def _kserve(settings: Settings, *, named: bool) -> str:
    if not named:
        return _unneeded(settings, "no KUBECONFIG: nobody can look for it here")
    from cluster.examination import Examination

    settings = _as_set_there(settings)
    examination = Examination.of(settings.serving.namespace)
    try:
        there = examination.has_kserve()
    except ClusterError as error:
        return _unneeded(settings, str(error))
    if not there:
        return _unneeded(settings, "the cluster has none: install it, in Standard mode")
    release = examination.kserve_release()
    if _older(release, OLDEST_KSERVE):
        raise ClusterError(f"{release}: expected {_words(OLDEST_KSERVE)} or later; bring it up to date")
    return release or "it is there; of which release you may not see"


def _rights(settings: Settings, *, named: bool) -> str:
    if not named:
        return _unneeded(settings, "no KUBECONFIG: nobody can ask for them here")
    from cluster.examination import Examination
    from cluster.permissions import VERBS

    settings = _as_set_there(settings)
    namespace, account = settings.serving.namespace, _account(settings)
    who = f"service account {account[1]} of namespace {account[0]}" if account else "you"
    try:
        examination = Examination.of(namespace)
        if account and not examination.may_ask():
            return _unneeded(settings, _untold(namespace, account), kind=UntoldError)
        lacking = examination.lacking(VERBS, account)
    except ClusterError as error:
        return _unneeded(settings, str(error))
    if lacking:
        whom = "it, by the chart's value pipelines.serviceAccount" if account else "whoever deploys, or ask for it"
        found = f"in namespace {namespace} {who} may not {', '.join(lacking)}"
        return _unneeded(settings, f"{found}: bind the Role that the chart makes to {whom}")
    return f"in namespace {namespace} {who} may do all {len(VERBS)} that the step deploy needs"


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


def _as_set_there(settings: Settings) -> Settings:
    """With what the steps on the cluster are told about serving, where that can be read: it is what counts there."""
    if not settings.kfp.host:
        return settings
    from cluster.examination import Examination
    from pipelines.placement import SETTINGS

    try:
        there = Examination.of(settings.kfp.namespace).settings(SETTINGS)
    except ClusterError:
        return settings
    serving = settings.serving
    way, namespace = there.get("NORIA_SERVING"), there.get("NORIA_SERVING_NAMESPACE")
    return replace(settings, serving=replace(serving, way=way or serving.way, namespace=namespace or serving.namespace))


def _objects(settings: Settings) -> str:
    if settings.kfp.host and not settings.objects.startswith("s3://"):
        return (
            "what its ConfigMap noria-settings names; here it is a folder, so `noria status` and `noria releases` tell "
            "of runs on this machine alone"
        )
    return settings.objects


def _registry(settings: Settings) -> str:
    address = settings.registry
    if address.startswith("s3://"):
        from noria.stores.opening import open_store

        folder, _, name = address.rpartition("/")
        there = open_store(folder).exists(name)
        return f"{address}{'' if there else ', not there yet: the step features makes it'}"
    if "://" not in address or address.startswith("sqlite:"):
        path = Path(address.removeprefix("sqlite:///"))
        return f"{path}{'' if path.exists() else ', not there yet: the step features makes it'}"
    parts = urlsplit(address)
    port = parts.port or PORTS.get(parts.scheme.partition("+")[0], 0)
    where = f"{parts.scheme} at {parts.hostname}:{port}"  # without the user and the password
    try:
        socket.create_connection((parts.hostname or "", port), timeout=SECONDS).close()
    except OSError as error:
        raise NoriaError(
            f"{where} cannot be reached ({error}): look at NORIA_REGISTRY, and at the way there"
        ) from error
    return f"{where} answers"


def _unneeded(settings: Settings, found: str, kind: type[NoriaError] = ClusterError) -> str:
    """A lack, told as a fault only where the settings need what is lacking."""
    if settings.serving.way == "kserve":
        raise kind(f"{found}. NORIA_SERVING is kserve, which needs it")
    return f"{found}. Needed only with NORIA_SERVING=kserve"


def _older(release: str, oldest: tuple[int, int]) -> bool:
    """Whether it says that it is older; what says nothing is taken for good."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return bool(found) and (int(found[1]), int(found[2])) < oldest if found else False


def _words(release: tuple[int, int]) -> str:
    return ".".join(map(str, release))
