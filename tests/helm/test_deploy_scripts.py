"""make cluster, deploy and undeploy: what they ask of kubectl, in which order, and what they say when they cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rendered import ROOT

from pipelines import placement

# It notes what it is told; a cluster that takes all of it cannot be had here.
KUBECTL = """#!/bin/sh
case "$*" in
  "config current-context") [ "${CONTEXT:=kind-noria}" != none ] || exit 1; echo "$CONTEXT"; exit;;
  "config view"*) echo https://127.0.0.1:6443; exit;;
  "config use-context "*) exit "${NO_CONTEXT:-0}";;
  "get --raw /version "*) [ -n "${SILENT:-}" ] || exit 0; echo "$SILENT" >&2; exit 1;;
esac
echo "$*" >> "$NOTES"
case "$*" in
  "api-resources"*) cat "$RESOURCES"; exit 1;;
  "get deployments"*) echo deployment.apps/noria-redis;;
  "get scheduledworkflows"*) [ "${SCHEDULES:-}" != none ] || exit 1; for each in ${SCHEDULES:-}; do echo "$each"; done;;
  "get storageclasses"*) echo "$CLASSES"; exit "${NO_RIGHT:-0}";;
  "apply --server-side --kustomize "*)
    for last in "$@"; do :; done; cat "$last"/*.yaml > "$CONFIG.applied";;
  "get configmap inferenceservice-config"*) cat "$CONFIG";;
  "wait"*"--timeout 1s") exit "${IS_UP:-1}";;
  "patch configmap inferenceservice-config"*) cat > "$CONFIG.patch";;
  create*|*" -") cat > /dev/null;;
esac
"""


# As `kubectl api-resources` prints a few of the kinds that a cluster knows: not every one has a short name.
RESOURCES = """configmaps cm v1 true ConfigMap
namespaces ns v1 false Namespace
serviceaccounts sa v1 true ServiceAccount
persistentvolumeclaims pvc v1 true PersistentVolumeClaim
services svc v1 true Service
deployments deploy apps/v1 true Deployment
horizontalpodautoscalers hpa autoscaling/v2 true HorizontalPodAutoscaler
cronjobs cj batch/v1 true CronJob
networkpolicies netpol networking.k8s.io/v1 true NetworkPolicy
poddisruptionbudgets pdb policy/v1 true PodDisruptionBudget
roles rbac.authorization.k8s.io/v1 true Role
rolebindings rbac.authorization.k8s.io/v1 true RoleBinding
workflows wf argoproj.io/v1alpha1 true Workflow
clusterstoragecontainers serving.kserve.io/v1alpha1 false ClusterStorageContainer
inferenceservices isvc serving.kserve.io/v1beta1 true InferenceService
servingruntimes serving.kserve.io/v1alpha1 true ServingRuntime
"""

# What `make secrets` puts where Kubeflow Pipelines is, and no manifest holds.
BESIDE_KUBEFLOW = {
    ("Secret", placement.STORE_SECRET), ("Secret", placement.SIGNING_SECRET), ("ConfigMap", placement.TRUSTED_KEYS),
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which kubectl is the one above."""
    command = tmp_path / "kubectl"
    command.write_text(KUBECTL)
    command.chmod(0o755)
    return f"{tmp_path}{os.pathsep}{os.environ['PATH']}"


def script(
    name: str, *words: str, path: str, tmp_path: Path, stdin: int = subprocess.DEVNULL, root: Path = ROOT, **more: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    notes = tmp_path / "notes"
    notes.touch()
    missing = more.get("MISSING", "nothing")
    table = [line for line in RESOURCES.splitlines() if not line.startswith(missing)]
    (tmp_path / "resources").write_text("\n".join(table) + "\n")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NORIA_", "KUBE"))}
    places = {
        "PATH": path,
        "NOTES": str(notes),
        "RESOURCES": str(tmp_path / "resources"),
        "CONFIG": str(tmp_path / "config"),
        "CLASSES": '{"storageclass.kubernetes.io/is-default-class":"true"} {"other":"true"}',
        "TMPDIR": str(tmp_path),
        "NORIA_HOME": str(tmp_path / "home"),
        "BIN": str(Path(sys.executable).parent),
    }
    done = subprocess.run(
        [root / "helm" / name, *words],
        cwd=root,
        env={**kept, **places, **more},
        capture_output=True,
        text=True,
        stdin=stdin,
        check=False,
    )
    return done, notes.read_text().splitlines()


def test_deploy_makes_namespaces_then_secrets_then_the_rest_and_waits(path, tmp_path):
    done, told = script("deploy", "dev", path=path, tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    order = [
        next(number for number, line in enumerate(told) if line.startswith(start))
        for start in (
            "api-resources",
            "apply --server-side --filename manifests/dev/namespaces.yaml",
            "create --filename=-",
            "apply --server-side --kustomize manifests/dev",
            "rollout status --namespace noria --timeout 300s deployment.apps/noria-redis",
        )
    ]
    assert order == sorted(order)
    assert done.stdout.count("made Secret") == 7


@pytest.mark.parametrize(
    "classes", ["", '{"storageclass.kubernetes.io/is-default-class":"false"}'], ids=["none", "no default"]
)
def test_a_cluster_that_makes_no_volumes_gets_dev_all_the_same_and_is_told_so(path, tmp_path, classes):
    done, told = script("deploy", "dev", path=path, tmp_path=tmp_path, CLASSES=classes)
    assert done.returncode == 0, done.stderr
    applied = (tmp_path / "config.applied").read_text()
    assert "kind: PersistentVolumeClaim" not in applied
    assert "name: noria-seaweedfs" in applied
    assert "the cluster has no default storage class" in done.stderr
    folder = next(line for line in told if "--kustomize" in line).rpartition(" ")[2]
    assert not Path(folder).exists()  # it was made for this once


@pytest.mark.parametrize("more", [{}, {"CLASSES": "", "NO_RIGHT": "1"}], ids=["a default", "nobody may look"])
def test_else_dev_has_volumes(path, tmp_path, more):
    done, told = script("deploy", "dev", path=path, tmp_path=tmp_path, **more)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "config.applied").read_text().count("kind: PersistentVolumeClaim") == 3
    assert "storage class" not in done.stderr
    assert "apply --server-side --kustomize manifests/dev" in told


def test_deploy_and_undeploy_say_first_which_cluster_it_is(path, tmp_path):
    for name in ("deploy", "undeploy"):
        done, _ = script(name, "dev", path=path, tmp_path=tmp_path)
        assert done.stdout.startswith("Cluster: context kind-noria, https://127.0.0.1:6443\n")


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("workflows", "Workflow (argoproj.io): it comes with Kubeflow Pipelines 2.15 or later"),
        ("inferenceservices", "InferenceService (serving.kserve.io): it comes with KServe 0.20 or later"),
        ("servingruntimes", "ServingRuntime (serving.kserve.io)"),
        ("cronjobs", "CronJob (batch): it comes with Kubernetes 1.32 or later"),
    ],
)
def test_deploy_says_what_the_cluster_lacks_and_changes_nothing(path, tmp_path, missing, words):
    done, told = script("deploy", "dev", path=path, tmp_path=tmp_path, MISSING=missing)
    assert done.returncode == 1
    assert words in done.stderr
    assert not any(line.startswith(("apply", "create")) for line in told)


def test_undeploy_takes_the_predictors_down_before_their_runtime(path, tmp_path):
    done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in told] == [
        ["get", "scheduledworkflows.kubeflow.org"], ["delete", "inferenceservices"], ["delete", "--kustomize"],
    ]  # fmt: skip
    assert "app.kubernetes.io/managed-by=noria" in told[1]


def test_undeploy_goes_to_the_namespaces_of_the_environment(path, tmp_path):
    root = tmp_path / "project"
    shutil.copytree(ROOT / "helm", root / "helm", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "manifests" / "dev", root / "manifests" / "dev")
    with (root / "helm" / "environments" / "dev.yaml").open("a") as values:
        values.write("namespaces: {serving: shop-models, pipelines: team-a}\n")
    done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path, root=root, ALL="1", SCHEDULES="a")
    assert done.returncode == 0, done.stderr
    asked = {word: line.split()[line.split().index("--namespace") + 1] for line in told if "--namespace" in line
             for word in [" ".join(line.split()[:2])]}  # fmt: skip
    assert asked == {
        "get scheduledworkflows.kubeflow.org": "team-a",
        "delete inferenceservices": "shop-models",
        "delete secret": "team-a",
        "delete configmap": "team-a",
    }
    assert "Gone: the namespaces noria and shop-models with" in done.stdout


def test_undeploy_says_what_stays_and_how_it_goes(path, tmp_path):
    done, _ = script("undeploy", "dev", path=path, tmp_path=tmp_path, SCHEDULES="a b")
    for kind, name in BESIDE_KUBEFLOW:
        assert re.search(rf"{kind}s? [^;]*\b{name}\b", done.stdout), name
    assert "make undeploy ENV=dev ALL=1" in done.stdout
    assert "2 schedules: each of Noria's goes on, and fails each time" in done.stdout
    assert "noria schedule delete ID" in done.stdout
    assert "kind delete cluster --name noria" in done.stdout


@pytest.mark.parametrize("schedules", ["", "none"])
def test_undeploy_needs_no_schedules_and_no_kubeflow_pipelines(path, tmp_path, schedules):
    done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path, SCHEDULES=schedules)
    assert done.returncode == 0, done.stderr
    assert "schedules" not in done.stdout
    assert told[-1].startswith("delete --kustomize")


def test_undeploy_of_all_takes_the_keys_beside_kubeflow_pipelines_too(path, tmp_path):
    done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path, ALL="1")
    assert done.returncode == 0, done.stderr
    gone = {
        (kind, name)
        for line in told[3:]
        for kind in ("Secret", "ConfigMap")
        if line.startswith(f"delete {kind.lower()} ") and "--namespace kubeflow" in line
        for name in line.split()
        if name.startswith("noria-")
    }
    assert gone == BESIDE_KUBEFLOW
    assert "ALL=1" not in done.stdout


@pytest.mark.parametrize(
    ("name", "environment", "code", "words"),
    [
        ("deploy", "prod", 2, "names images by digests that no image has"),
        ("deploy", "qa", 2, "names noria/serving and noria/monitoring without a registry"),
        ("deploy", "staging", 2, "ENV is one of dev prod qa"),
        ("undeploy", "staging", 2, "ENV is one of dev prod qa"),
    ],
)
def test_what_cannot_become_ready_is_refused_before_the_cluster_is_asked(
    name, environment, code, words, path, tmp_path
):
    done, told = script(name, environment, path=path, tmp_path=tmp_path)
    assert done.returncode == code
    assert words in done.stderr
    assert told == []


@pytest.mark.parametrize("context", ["team-a", "arn:aws:eks:eu:1:cluster/kind-noria"])
def test_undeploy_of_a_cluster_that_others_may_use_wants_an_agreement(path, tmp_path, context):
    done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path, CONTEXT=context)
    assert (done.returncode, told) == (1, [])
    assert context in done.stderr
    assert "YES=1" in done.stderr
    done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path, CONTEXT=context, YES="1")
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("delete --kustomize") for line in told)


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("y", 1), ("", 1)])
def test_on_a_terminal_undeploy_asks_and_only_a_whole_yes_agrees(path, tmp_path, answer, code):
    person, terminal = os.openpty()
    try:
        os.write(person, f"{answer}\n".encode())
        done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path, stdin=terminal, CONTEXT="team-a")
    finally:
        os.close(person)
        os.close(terminal)
    assert done.returncode == code
    assert any(line.startswith("delete") for line in told) is (code == 0)


REFUSED = "E1121 12:00:00.1 7 memcache.go:265] couldn't get list\nThe connection to the server was refused"


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (["deploy", "dev"], "make deploy"),
        (["undeploy", "dev"], "make undeploy"),
        (["make-cluster", "here"], "make cluster CLUSTER=here"),
    ],
)
def test_a_cluster_that_does_not_answer_is_told_once_and_alike_and_nothing_is_tried(path, tmp_path, words, verb):
    done, told = script(*words, path=path, tmp_path=tmp_path, SILENT=REFUSED)
    assert (done.returncode, told) == (1, [])
    assert done.stderr.startswith(
        f"{verb}: no cluster answers at https://127.0.0.1:6443 (context kind-noria, KUBECONFIG "
    )
    assert "expected one that `kubectl get nodes` reaches" in done.stderr
    assert "memcache" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ((), "no kubectl here: run `make setup`"),
        (("kubectl", "git", "python3"), "no docker here: install Docker"),
        (("kubectl", "git", "python3", "docker"), "no kind here: install kind"),
    ],
)
def test_make_cluster_says_what_is_not_installed_and_where_that_is_had(tmp_path, tools, words):
    for tool in ("bash", *tools):
        (tmp_path / tool).symlink_to("/usr/bin/bash")
    done, _ = script("make-cluster", path=str(tmp_path), tmp_path=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"make cluster: {words}")


def test_make_cluster_makes_no_cluster_of_kind_that_is_called_minikube(path, tmp_path):
    done, told = script("make-cluster", "minikube", path=path, tmp_path=tmp_path)
    assert (done.returncode, told) == (2, [])
    assert "CLUSTER=here" in done.stderr


def with_kind(folder: Path) -> None:
    for name, body in (("docker", ""), ("kind", 'if [ "$*" = "get clusters" ]; then echo noria; fi')):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "$NOTES"\n{body}\n')
        (folder / name).chmod(0o755)


def test_make_cluster_tells_kubectl_of_a_cluster_of_kind_that_it_does_not_know(path, tmp_path):
    with_kind(tmp_path)
    _, told = script("make-cluster", "noria", path=path, tmp_path=tmp_path, IS_UP="0", NO_CONTEXT="1")
    assert "kind export kubeconfig --name noria" in told


def test_make_cluster_says_that_other_shells_go_to_it_from_now_on(path, tmp_path):
    with_kind(tmp_path)
    done, _ = script("make-cluster", "noria", path=path, tmp_path=tmp_path, IS_UP="0", CONTEXT="work")
    assert "`kubectl config use-context work` goes back" in done.stdout
    done, _ = script("make-cluster", "noria", path=path, tmp_path=tmp_path, IS_UP="0")
    assert "goes back" not in done.stdout


# As KServe 0.20 brings it along, shortened.
CONFIG = {
    "deploy": '{"defaultDeploymentMode": "Serverless"}',
    "ingress": '{"ingressGateway": "knative-serving/knative-ingress-gateway", "disableIngressCreation": false}',
    "storageInitializer": "{}",
}


def make_cluster(path: str, tmp_path: Path, **more: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    (tmp_path / "config").write_text(json.dumps({"data": CONFIG}))
    return script("make-cluster", "here", path=path, tmp_path=tmp_path, **more)


def test_make_cluster_installs_what_the_cluster_lacks_in_an_order_that_works(path, tmp_path):
    done, told = make_cluster(path, tmp_path)
    assert done.returncode == 0, done.stderr
    order = [
        next(number for number, line in enumerate(told) if line.startswith("apply") and line.endswith(end))
        for end in (
            "/cert-manager/releases/download/v1.21.2/cert-manager.yaml",
            "/kserve/releases/download/v0.20.0/kserve-crds.yaml",
            "/kserve/releases/download/v0.20.0/kserve.yaml",
            "/manifests/kustomize/cluster-scoped-resources?ref=2.17.0",
            "/manifests/kustomize/env/platform-agnostic?ref=2.17.0",
        )
    ]
    assert order == sorted(order)
    after = told[order[2] :]
    restarted = next(n for n, line in enumerate(after) if line.startswith("rollout restart --namespace kserve"))
    assert any(line.startswith("patch configmap inferenceservice-config") for line in after[:restarted])
    assert any("llmisvc-controller-manager" in line and line.startswith("delete") for line in after[:restarted])


def test_make_cluster_changes_two_words_of_kserves_settings_and_keeps_all_others(path, tmp_path):
    make_cluster(path, tmp_path)
    changed = json.loads((tmp_path / "config.patch").read_text())["data"]
    assert json.loads(changed["deploy"]) == {"defaultDeploymentMode": "Standard"}
    assert json.loads(changed["ingress"]) == {
        "ingressGateway": "knative-serving/knative-ingress-gateway",
        "disableIngressCreation": True,
    }
    assert set(changed) == {"deploy", "ingress"}


def test_make_cluster_leaves_alone_what_is_there_and_works(path, tmp_path):
    done, told = make_cluster(path, tmp_path, IS_UP="0")
    assert done.returncode == 0, done.stderr
    parts = ("cert-manager", "KServe", "Kubeflow Pipelines", "metrics-server")
    assert [part for part in parts if f"{part} is there already" not in done.stdout] == []
    assert not any(line.startswith(("apply", "delete", "patch", "rollout", "create")) for line in told)


@pytest.mark.parametrize("name", ["make-cluster", "deploy", "undeploy"])
def test_a_script_is_whole(name):
    subprocess.run(["bash", "-n", ROOT / "helm" / name], check=True)
