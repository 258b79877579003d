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


def load(folder, *, here, clusters="", environment=None, lacks="", registry=True):
    """`make images-load` where only these programs are: each writes down how it was called.

    Docker has every image but those whose name has `lacks` in it, and pulls them if there is a registry.
    """
    tools = folder / "bin"
    tools.mkdir()
    for name in ("bash", "sed", "dirname", "grep", "cut", "sort", "cat"):
        (tools / name).symlink_to(shutil.which(name))
    for name in here:
        lists = f'*list*|*"get clusters"*) cat {folder}/clusters;;'
        lacking = f'"image inspect "*{lacks}*) exit 1;; pull*) exit {0 if registry else 1};;' if lacks else ""
        asked = f'case "$*" in {lists} {lacking} esac'
        (tools / name).write_text(f'#!{tools}/bash\necho "{name} $*" >> {folder}/calls\n{asked}\n')
        (tools / name).chmod(0o755)
    (folder / "clusters").write_text(clusters)
    done = subprocess.run(
        [tools / "bash", ROOT / "images" / "load.sh"],
        env={"PATH": str(tools), **(environment or {})}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    calls = folder / "calls"
    told = calls.read_text().splitlines() if calls.exists() else []
    return done, [line for line in told if " load" in line or " pull" in line]


def images_of_dev():
    """Those that the chart names for its development parts."""
    parts = yaml.safe_load((ROOT / "helm" / "noria" / "values.yaml").read_text())["devServices"].values()
    return sorted(part["image"] for part in parts if isinstance(part, dict) and "image" in part)


def test_the_images_go_into_the_cluster_of_kind_that_is_there(tmp_path):
    done, calls = load(tmp_path, here=("docker", "kind", "minikube"), clusters="other\nnoria\n")
    version = noria.__version__
    ours = (f"noria/{name}:{version}" for name in ("python-steps", "serving", "monitoring"))
    images = " ".join([*ours, *images_of_dev()])
    assert calls == [f"kind load docker-image --name noria {images}"], done.stderr
    assert "The kind cluster noria has" in done.stdout


def test_the_only_cluster_of_minikube_gets_them_where_kind_is_not(tmp_path):
    profiles = '{"invalid":[],"valid":[{"Name":"minikube","Status":"Running"}]}\n'
    done, calls = load(tmp_path, here=("docker", "minikube"), clusters=profiles)
    assert [call.rpartition(" ")[0] for call in calls] == ["minikube --profile minikube image load"] * 6, done.stderr


def test_what_dev_brings_along_is_pulled_before_it_goes_into_a_cluster_that_pulls_nothing(tmp_path):
    done, calls = load(tmp_path, here=("docker", "kind"), clusters="noria\n", lacks="redis")
    assert done.returncode == 0, done.stderr
    (redis,) = (image for image in images_of_dev() if image.startswith("redis"))
    assert calls[0] == f"docker pull --quiet {redis}"
    assert redis in calls[1].split()


def test_what_cannot_be_pulled_is_named_and_all_else_is_there(tmp_path):
    done, calls = load(tmp_path, here=("docker", "kind"), clusters="noria\n", lacks="redis", registry=False)
    assert done.returncode == 1
    (redis,) = (image for image in images_of_dev() if image.startswith("redis"))
    assert f"Docker neither has {redis} nor can pull it" in done.stderr
    assert "docker load" in done.stderr
    loaded = calls[-1].split()
    assert set(images_of_dev()) - set(loaded) == {redis}
    assert f"noria/serving:{noria.__version__}" in loaded


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
