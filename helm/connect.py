"""Connect: let the command `noria` on this machine work on a cluster; `python -m helm.connect dev`, until Ctrl-C.

It leads the ways to Kubeflow Pipelines and to the object store here, and writes the settings that a shell takes over.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helm.cluster_settings import SIGNING, Found, folder_of, forget_signing_key, write
from helm.forwarding import Service, forwarded
from helm.kubectl import Data, Kubectl
from helm.reach import reach
from helm.render import NAMESPACE, environments, merged_values
from noria.errors import ClusterError, NoriaError, UsageError
from noria.settings import KfpSettings, Settings

KUBEFLOW = "kubeflow"
USUAL_ACCOUNT = "pipeline-runner"
SERVED_BY_KFP = "ml-pipeline-ui"  # the pages, and the API beneath the same address
HEALTH = "/apis/v2beta1/healthz"
USUAL_KFP, USUAL_S3 = 8888, 8333
KUBECONFIG = "~/.kube/config"


def main(arguments: list[str]) -> int:
    """Connect, say what to type, and wait; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it is ended as by Ctrl-C
    try:
        if len(arguments) != 1 or arguments[0] not in environments():
            raise UsageError(f"found {arguments}: expected one of {', '.join(environments())}")
        connect(merged_values(arguments[0]), sign=os.environ.get("SIGN") == "1")
    except NoriaError as error:
        sys.stderr.write(f"make connect: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        _say("\nClosed.")
    return 0


def connect(values: Mapping[str, Any], *, sign: bool) -> None:
    """Keep the ways open until it is interrupted; ClusterError where the cluster lacks something, or hides it."""
    settings = Settings.from_environment()
    folder_of(settings.home, "")
    cluster = reach(Kubectl())
    _say(f"Cluster: context {cluster.context}, {cluster.server}")
    kubectl = Kubectl(cluster.context)
    found = _look_up(kubectl, values, cluster.context, sign=sign)
    services = {
        name: service
        for name, service in (
            ("NORIA_KFP", None if settings.kfp.host else _kfp(kubectl, values)),
            ("NORIA_OBJECTS_ENDPOINT", _store(kubectl, found.settings.get("NORIA_OBJECTS_ENDPOINT", ""))),
        )
        if service
    }
    folder = folder_of(settings.home, cluster.context)
    with forwarded(kubectl.command, list(services.values())) as ports:
        there = {"NORIA_OBJECTS_ENDPOINT": found.settings.get("NORIA_OBJECTS_ENDPOINT", "")}
        here = {name: f"http://localhost:{port}" for name, port in zip(services, ports, strict=True)}
        ways = {**there, **_of_kfp(settings.kfp, values), **here}
        try:
            path = write(folder, found, {name: text for name, text in ways.items() if text}, _kubeconfig())
            _tell(path, services, ports, signs=bool(found.signing))
            if services:
                threading.Event().wait()
        finally:
            if services:  # else there is nothing to wait for, and nobody who would come back to it
                forget_signing_key(folder)


def _look_up(kubectl: Kubectl, values: Mapping[str, Any], context: str, *, sign: bool) -> Found:
    names, space = values["secrets"], values["namespaces"]["pipelines"]
    own = kubectl.find("Namespace", NAMESPACE, NAMESPACE)
    settings = _demand(kubectl, "ConfigMap", values["settings"]["configMap"], space)
    return Found(
        context=context,
        installation=str((own or {}).get("metadata", {}).get("uid", "home"))[:8],
        settings=settings,
        store_keys=_demand(kubectl, "Secret", names["s3"], space) if names["s3"] else {},
        trusted=_demand(kubectl, "ConfigMap", names["trustedKeys"], space),
        signing={SIGNING: _demand(kubectl, "Secret", names["signing"], space)[SIGNING]} if sign else {},
    )


def _demand(kubectl: Kubectl, kind: str, name: str, namespace: str) -> Data:
    found = kubectl.read(kind, name, namespace)
    if found is None:
        raise ClusterError(
            f"there is no {kind} {name} in namespace {namespace}: `make deploy` brings it; run that first"
        )
    return found


def _kfp(kubectl: Kubectl, values: Mapping[str, Any]) -> Service:
    for namespace in dict.fromkeys((values["namespaces"]["pipelines"], KUBEFLOW)):
        if kubectl.find("Service", SERVED_BY_KFP, namespace):
            return Service(namespace=namespace, name=SERVED_BY_KFP, port=80, usual=USUAL_KFP, path=HEALTH)
    raise ClusterError(
        f"there is no Service {SERVED_BY_KFP} in namespace {KUBEFLOW}: expected Kubeflow Pipelines; where it is "
        "reached by an address, set NORIA_KFP to that, and run this again"
    )


def _store(kubectl: Kubectl, endpoint: str) -> Service | None:
    """The Service behind the object store's address; None for one that this machine reaches, or that has none."""
    address = urlsplit(endpoint)
    name, _, rest = (address.hostname or "").partition(".")
    namespace = rest.partition(".")[0]
    in_cluster = rest in (namespace, f"{namespace}.svc", f"{namespace}.svc.cluster.local")
    if not namespace or not in_cluster or not kubectl.find("Service", name, namespace):
        return None
    if address.scheme == "https":
        _say(
            f"The object store is {endpoint}, a Service of the cluster whose certificate holds for that name alone: no "
            "way is led here; let that name lead to it from this machine"
        )
        return None
    return Service(namespace=namespace, name=name, port=address.port or 80, usual=USUAL_S3)


def _of_kfp(kfp: KfpSettings, values: Mapping[str, Any]) -> dict[str, str]:
    """What the person has set of Kubeflow Pipelines, and else what the environment says of who runs there."""
    space, account = values["namespaces"]["pipelines"], values["pipelines"]["serviceAccount"]
    return {
        "NORIA_KFP": kfp.host,
        "NORIA_KFP_NAMESPACE": kfp.namespace if kfp.namespace != KUBEFLOW else space,
        "NORIA_KFP_SERVICE_ACCOUNT": kfp.service_account or (account if account != USUAL_ACCOUNT else ""),
        "NORIA_KFP_TOKEN_FILE": str(kfp.token_file or ""),
        "NORIA_KFP_CA_FILE": str(kfp.ca_file or ""),
    }


def _kubeconfig() -> str:
    """Where kubectl looks, by whole paths."""
    said = os.environ.get("KUBECONFIG") or str(Path(KUBECONFIG).expanduser())
    return os.pathsep.join(str(Path(path).absolute()) for path in said.split(os.pathsep) if path)


def _tell(path: Path, services: Mapping[str, Service], ports: list[int], *, signs: bool) -> None:
    for service, port in zip(services.values(), ports, strict=True):
        _say(f"http://localhost:{port} leads to {service.name} in namespace {service.namespace}")
    with suppress(ValueError):
        path = path.relative_to(Path.cwd())
    _say(f"\nIn another shell, here, with the environment activated:\n\n  source {path}\n")
    _say("Then noria status, releases, submit and runs work on this cluster" + (", and rollback." if signs else "."))
    if not signs:
        _say("A rollback signs: `make connect SIGN=1` brings the key, for as long as it runs.")
    if services:
        _say("It stays open until Ctrl-C.")
    else:
        _say(
            "No way had to be led here, so nothing goes on running." + (f" Remove {SIGNING} when you are done." * signs)
        )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
