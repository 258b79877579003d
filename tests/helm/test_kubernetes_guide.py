"""docs/guides/kubernetes.md: the commands, values and objects that it names are there, and no object is left out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from rendered import CASES, CHART, ROOT, objects
from test_chart_references import BROUGHT
from test_chart_values import LEAVES

from helm.render import HOOK

GUIDE = (ROOT / "docs" / "guides" / "kubernetes.md").read_text()
KEEP = "helm.sh/resource-policy"
COMMANDS = [
    line.strip().partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
SPOKEN = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL))
HOOKS = {("Pod", "noria-ask-endpoint"), ("ConfigMap", "noria-questions")}  # of `helm test`: they stay when Helm goes
# KServe's Deployment, and what Kubeflow Pipelines brings.
FOREIGN = {"fashion-predictor", "ml-pipeline", "ml-pipeline-ui"}


STEPS = ({}, {"deploy": "done"}, {"deploy": "skipped"})  # as Kubeflow's list tells them, or does not
OWN = "acme"  # what the guide calls an environment of its reader's


def words_of(program: str) -> list[list[str]]:
    said = [line.rstrip("&").split() for line in [*COMMANDS, *SPOKEN]]
    found = [line[line.index(program) :] for line in said if program in line[:2]]
    return [words for words in found if len(words) > 1]


def test_every_verb_of_make_is_there_with_the_environments_that_there_are():
    text = (ROOT / "Makefile").read_text()
    for words in words_of("make"):
        for word in words[1:]:
            name, equals, value = word.partition("=")
            if not equals:
                assert re.search(rf"^{word}:", text, re.MULTILINE), f"make {word}"
            elif name == "ENV":
                assert value == OWN or (ROOT / "manifests" / value).is_dir(), word
            else:
                assert f"$({name})" in text or f"$(or $({name})" in text, word


def test_every_verb_of_noria_is_there_with_its_options():
    noria = Path(sys.executable).with_name("noria")
    for verb, options in {
        (words[1], tuple(word.partition("=")[0] for word in words if word.startswith("--")))
        for words in words_of("noria")
    }:
        told = subprocess.run([noria, verb, "--help"], capture_output=True, text=True, check=True).stdout
        assert [option for option in options if option not in told] == [], verb


def test_every_value_that_is_named_is_one_of_the_chart():
    known = {".".join(path[:length]) for path in LEAVES for length in range(1, len(path) + 1)}
    tops = {path[0] for path in LEAVES}
    for text in SPOKEN:
        name = text.partition(":")[0]
        if re.fullmatch(r"[a-zA-Z]+(\.[a-zA-Z]+)+", name) and name.partition(".")[0] in tops:
            assert name in known, name


def test_every_kind_and_name_of_the_table_is_an_object_and_no_object_is_missing():
    rows = [line.split("|")[1] for line in GUIDE.splitlines() if re.match(r"\| [A-Z][A-Za-z]+,? ", line)]
    said = {(kind, name) for row in rows for kind in kinds_of(row) for name in re.findall(r"`([^`]+)`", row)}
    made = {(each["kind"], each["metadata"]["name"]) for case in CASES for each in objects(case)}
    brought = {(kind, name) for _, kind, name in BROUGHT} | {("Secret", "noria-signing")}
    assert said == made | brought


def kinds_of(row: str) -> list[str]:
    return re.findall(r"\b[A-Z][A-Za-z]+\b", re.sub(r"`[^`]*`", "", row))


def test_what_kubectl_is_told_is_there():
    made = {each["metadata"]["name"] for case in CASES for each in objects(case)}
    brought = {name for _, _, name in BROUGHT} | {"noria-signing"}
    for words in words_of("kubectl"):
        for word in words:
            if found := re.fullmatch(r"(?:service|deploy|deployment)/(.+)", word):
                assert found[1] in FOREIGN | made, word
        if "create" in words:
            name = next((word for word in words if word.startswith("noria-")), "")
            assert name in brought or words[-1].startswith(".dockerconfigjson="), name
        for option in {"--namespace", "-n"} & set(words):
            assert words[words.index(option) + 1] in {"noria", "noria-serving", "kubeflow"}


def test_what_helm_leaves_behind_is_told():
    """Objects of hooks are none of the release's, and so are those that somebody makes beside it."""
    text = GUIDE[GUIDE.index("helm uninstall") : GUIDE.index("## When something is wrong")]
    hooks = {
        (each["kind"], each["metadata"]["name"])
        for case in CASES
        for each in objects(case)
        if HOOK in each["metadata"].get("annotations", {})
    }
    assert hooks == HOOKS
    assert all(f"{kind}\n`{name}`" in text or f"{kind} `{name}`" in text for kind, name in hooks)
    kept = [each for case in CASES for each in objects(case) if KEEP in each["metadata"].get("annotations", {})]
    assert kept == []  # all else goes, volumes too
    assert "kubectl delete inferenceservices" in GUIDE[: GUIDE.index("helm uninstall")]


def test_what_undeploy_says_the_guide_says():
    script = (ROOT / "helm" / "undeploy").read_text()
    text = GUIDE[GUIDE.index("## To take it away") :]
    for word in ("noria-s3", "noria-signing", "noria-trusted-keys", "noria schedule delete ID", "ALL=1"):
        assert word in script
        assert word in text, word


@pytest.mark.parametrize("text", ["2.17", "0.20", "1.34.0"])
def test_the_versions_are_those_that_make_cluster_installs(text):
    assert text in GUIDE
    assert text in (ROOT / "helm" / "make-cluster").read_text()


def test_make_cluster_installs_the_kubeflow_pipelines_that_the_project_is_pinned_to():
    script = (ROOT / "helm" / "make-cluster").read_text()
    assert f"kfp={metadata.version('kfp')}\n" in script


def test_what_a_run_prints_at_its_end_is_what_the_guide_has_one_type():
    from types import SimpleNamespace

    from noria.cli.cluster_summary import next_commands
    from noria.settings import Settings

    ended = SimpleNamespace(
        task="fashion", given=(), seed=1,
        watched=SimpleNamespace(outcome="promoted", served=True),
        connected=SimpleNamespace(settings=Settings.from_environment({})),
    )  # fmt: skip
    typed = [command for command, _ in next_commands(ended) if command.startswith(("kubectl", "curl"))]
    assert len(typed) == 2
    assert [each for each in typed if each not in COMMANDS] == []


def test_every_outcome_and_mark_that_a_person_sees_is_told():
    from noria.cli.doctor import MARKS, UNNEEDED

    told = GUIDE[: GUIDE.index("**Flights.**")]
    marks = [re.sub(r"\[.*?\]", "", mark) for mark in (*MARKS.values(), UNNEEDED)]
    outcomes = {outcome_of(state, steps) for state in ("SUCCEEDED", "FAILED", "CANCELED") for steps in STEPS}
    assert len(outcomes) == 5
    assert [word for word in outcomes if f"`{word}`" not in told] == []
    assert [mark for mark in marks if f"`{mark}` " not in told and f" {mark} is" not in told] == []


def outcome_of(state, steps):
    from pipelines.run_view import RunView, StepView

    told = tuple(StepView(name=name, state=stood) for name, stood in steps.items())
    run = RunView(
        id="a", name="a", state=state, steps=told, experiment="fashion", created=None, finished=None, error=""
    )
    return run.outcome


def test_what_connect_says_is_what_the_guide_shows():
    shown = GUIDE[GUIDE.index("Cluster: context kind-noria") :].partition("```")[0]
    from helm.cluster_settings import folder_of
    from helm.connect import SERVED_BY_KFP, USUAL_KFP, USUAL_S3

    assert f"http://localhost:{USUAL_KFP} leads to {SERVED_BY_KFP} in namespace kubeflow\n" in shown
    assert f"http://localhost:{USUAL_S3} leads to noria-seaweedfs in namespace noria\n" in shown
    assert f"source {folder_of(Path('.noria'), 'kind-noria')}/settings" in shown


def test_the_key_that_the_guide_makes_is_one_that_signs_and_is_trusted(tmp_path):
    from noria.ml.signature import Signer, TrustedKeys

    block = next(text for text in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL) if "openssl" in text)
    subprocess.run(["bash", "-ec", block], cwd=tmp_path, check=True, capture_output=True)
    assert TrustedKeys(tmp_path / "trusted").key_ids() == (Signer(tmp_path / "signing.pem").key_id,)


def test_the_image_of_one_s_own_is_made_from_the_steps_of_this_version():
    assert f"FROM {image_of('steps')}\n" in GUIDE


def image_of(role):
    program = f'cd "$0" && . images/names.sh && image_of {role}'
    return subprocess.run(["bash", "-ec", program, ROOT], capture_output=True, text=True, check=True).stdout.strip()


def test_what_an_environment_needs_beside_kubeflow_and_kserve_is_told():
    from helm.demands import BRINGS

    assert [name for name, _ in BRINGS.values() if name.partition(" 0.")[0].partition(" 2.")[0] not in GUIDE] == []


def test_settings_that_are_named_are_known():
    from noria.settings import KNOWN, SOURCE_PREFIX

    said = set(re.findall(r"\bNORIA_[A-Z_]+", GUIDE))
    assert {name for name in said if not name.startswith(SOURCE_PREFIX)} <= KNOWN


def test_the_chart_s_files_are_json_that_can_be_read():
    found = [json.loads(path.read_text()) for path in CHART.rglob("*.json")]
    assert all(found)
    assert len(found) >= 3  # the schema of the values, and the dashboards
