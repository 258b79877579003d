"""The Dockerfile: what hadolint says of it, and that its names are the project's."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import noria

ROOT = Path(__file__).parents[2]
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed in this environment")
def test_hadolint_finds_nothing():
    done = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_each_role_has_a_target_and_the_name_that_the_pipeline_and_the_chart_know():
    program = 'cd "$0" && . images/names.sh && for role in "${ROLES[@]}"; do echo "$role $(image_of "$role")"; done'
    told = subprocess.run(["bash", "-ec", program, ROOT], capture_output=True, text=True, check=True).stdout
    names = dict(line.split() for line in told.splitlines())
    targets = re.findall(r"^FROM runtime AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert sorted(names) == sorted(targets)
    assert all(name.endswith(f":{noria.__version__}") for name in names.values())
    assert f"image: {names['steps']}\n" in (ROOT / "pipelines" / "compiled" / "training.yaml").read_text()


def test_no_image_runs_as_root_and_nothing_comes_from_elsewhere():
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["65532:65532"]
    assert "://" not in text
    assert not re.search(r"^(ADD|RUN .*(curl|wget))", text, re.MULTILINE)


def test_only_what_an_image_is_made_of_goes_to_the_builder():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    sent = {line[1:] for line in rules if line.startswith("!")}
    copied = {
        word.partition("/")[0]
        for line in re.findall(r"^COPY (?!--from)(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert copied == sent


def load(folder, *, here, clusters="", environment=None, lacks="", registry=True, docker=29):
    """`make images-load` where only these programs are: each writes down how it was called.

    Docker has every image but those whose name has `lacks` in it, and pulls them if there is a registry; of a version
    before 28 it saves no image for one platform.
    """
    tools = folder / "bin"
    tools.mkdir()
    for name in ("bash", "sed", "dirname", "grep", "cut", "sort", "cat", "mktemp", "rm"):
        (tools / name).symlink_to(shutil.which(name))
    for name in here:
        lists = f'*list*|*"get clusters"*) cat {folder}/clusters;;'
        lacking = f'"image inspect "*{lacks}*) exit 1;; pull*) exit {0 if registry else 1};;' if lacks else ""
        saving = f'"image save --platform "*) exit {0 if docker >= 28 else 125};;'
        told = "version*) echo linux/arm64;;"
        asked = f'case "$*" in {lists} {lacking} {saving} {told} esac'
        (tools / name).write_text(f'#!{tools}/bash\necho "{name} $*" >> {folder}/calls\n{asked}\n')
        (tools / name).chmod(0o755)
    (folder / "clusters").write_text(clusters)
    done = subprocess.run(
        [tools / "bash", ROOT / "images" / "load.sh"],
        env={"PATH": str(tools), **(environment or {})}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    calls = folder / "calls"
    told = calls.read_text().splitlines() if calls.exists() else []
    return done, [
        re.sub(r"\S*/image\.tar", "FILE", line) for line in told if re.search(" (load|pull|save)|image load", line)
    ]


def images_of_dev():
    """Those that the chart names for its development parts."""
    parts = yaml.safe_load((ROOT / "helm" / "noria" / "values.yaml").read_text())["devServices"].values()
    return sorted(part["image"] for part in parts if isinstance(part, dict) and "image" in part)


def images_loaded():
    """All that dev needs, ours first."""
    ours = (f"noria/{name}:{noria.__version__}" for name in ("python-steps", "serving", "monitoring"))
    return [*ours, *images_of_dev()]


SAVE = "docker image save --platform linux/arm64 --output FILE"


def test_the_images_go_into_the_cluster_of_kind_that_is_there_each_for_its_platform_alone(tmp_path):
    done, calls = load(tmp_path, here=("docker", "kind", "minikube"), clusters="other\nnoria\n")
    put = "kind load image-archive --name noria FILE"
    assert calls == [line for image in images_loaded() for line in (f"{SAVE} {image}", put)], done.stderr
    assert "The kind cluster noria has" in done.stdout


def test_the_only_cluster_of_minikube_gets_them_where_kind_is_not(tmp_path):
    profiles = '{"invalid":[],"valid":[{"Name":"minikube","Status":"Running"}]}\n'
    done, calls = load(tmp_path, here=("docker", "minikube"), clusters=profiles)
    put = "minikube --profile minikube image load FILE"
    assert calls == [line for image in images_loaded() for line in (f"{SAVE} {image}", put)], done.stderr


def test_a_docker_that_saves_for_no_platform_saves_what_it_has(tmp_path):
    done, calls = load(tmp_path, here=("docker", "kind"), clusters="noria\n", docker=27)
    assert done.returncode == 0, done.stderr
    assert [call for call in calls if "--output" in call and "--platform" not in call] == [
        f"docker image save --output FILE {image}" for image in images_loaded()
    ]


def test_what_dev_brings_along_is_pulled_before_it_goes_into_the_cluster(tmp_path):
    done, calls = load(tmp_path, here=("docker", "kind"), clusters="noria\n", lacks="redis")
    assert done.returncode == 0, done.stderr
    (redis,) = (image for image in images_of_dev() if image.startswith("redis"))
    assert calls[0] == f"docker pull --quiet {redis}"
    assert f"{SAVE} {redis}" in calls[1:]


def test_what_cannot_be_pulled_is_named_and_all_else_is_there(tmp_path):
    done, calls = load(tmp_path, here=("docker", "kind"), clusters="noria\n", lacks="redis", registry=False)
    assert done.returncode == 1
    (redis,) = (image for image in images_of_dev() if image.startswith("redis"))
    assert f"Docker neither has {redis} nor can pull it" in done.stderr
    assert "docker load" in done.stderr
    saved = {call.rpartition(" ")[2] for call in calls if "image save" in call}
    assert saved == set(images_loaded()) - {redis}


def build(folder, *, fails=""):
    """`make images` for one role, with a Docker that writes down how it was called, and fails where a call has that."""
    tools = folder / "bin"
    tools.mkdir()
    failing = f'*"{fails or "no such call"}"*) echo "no such file: COPY"; exit 1;;'
    body = f'case "$*" in {failing} create*) echo c0ffee;; "image inspect"*) echo 123456789;; esac'
    body = f'echo "DEPRECATED: a long block" >&2; {body}'
    (tools / "docker").write_text(f'#!/bin/bash\necho "docker $*" >> {folder}/calls\n{body}\n')
    (tools / "docker").chmod(0o755)
    copy = folder / "tree"
    for name in ("images", "src/noria"):
        shutil.copytree(
            ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "[a-z]*" if "/" in name else "")
        )
    done = subprocess.run(
        ["bash", copy / "images" / "build.sh", "serving"], env={"PATH": f"{tools}:/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done, copy


def test_a_build_says_where_it_can_be_followed_and_keeps_what_docker_says_in_a_file(tmp_path):
    done, tree = build(tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Building noria/serving:{noria.__version__}: minutes the first time" in done.stdout
    assert "123 MB, its contents in build/sbom/serving.cdx.json" in done.stdout
    assert "DEPRECATED" in (tree / "build" / "logs" / "serving.log").read_text()
    (holder,) = re.findall(r"--target sbom --tag (\S+)", (tmp_path / "calls").read_text())
    assert f"docker rmi --no-prune {holder}\n" in (tmp_path / "calls").read_text()


@pytest.mark.parametrize("fails", ["--target serving", "--target sbom"])
def test_a_build_that_fails_ends_with_what_docker_said_last(tmp_path, fails):
    done, _ = build(tmp_path, fails=fails)
    assert done.returncode == 1
    assert "no such file: COPY" in done.stderr
    assert "build/logs/serving.log" in done.stderr
    assert " MB" not in done.stdout


def test_an_image_of_ours_that_is_not_built_is_never_pulled(tmp_path):
    done, calls = load(tmp_path, here=("docker", "kind"), clusters="noria\n", lacks="noria/serving")
    assert (done.returncode, calls) == (1, [])
    assert "`make images` builds it" in done.stderr


@pytest.mark.parametrize(
    ("clusters", "environment"), [("", {}), ("one\ntwo\n", {}), ("noria\n", {"CLUSTER": "another"})]
)
def test_where_there_is_no_such_cluster_it_says_what_to_do(tmp_path, clusters, environment):
    done, calls = load(tmp_path, here=("docker", "kind"), clusters=clusters, environment=environment)
    assert (done.returncode, calls) == (1, [])
    assert "`make cluster` makes one" in done.stderr
