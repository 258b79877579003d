"""Containers: what the steps' containers are given of this machine, and what is said where there is no engine."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from noria.errors import UsageError
from noria.settings import Settings, handed_on
from pipelines.containers import containers_for

ROOT = Path(__file__).parents[2]
IMAGE = "noria/python-steps:0.0.0"


def given(tmp_path, environment=None, source=None):
    environment = {"NORIA_HOME": "home", **(environment or {})}
    settings = Settings.from_environment(environment, folder=tmp_path)
    return containers_for(settings, IMAGE, "fashion", source, handed_on(environment))


def test_the_home_is_all_that_a_run_needs_where_everything_lies_in_it(tmp_path):
    found = given(tmp_path)
    assert (found.image, found.network) == (IMAGE, "bridge")
    assert found.writable == (tmp_path / "home",)
    assert found.readable == ()
    assert found.environment["NORIA_HOME"] == str(tmp_path / "home")
    assert found.environment["NORIA_OBJECTS"] == str(tmp_path / "home" / "objects")


def test_what_lies_elsewhere_is_given_too_and_keys_and_sources_only_to_be_read(tmp_path):
    places = {
        "NORIA_OBJECTS": "/srv/objects",
        "NORIA_SIGNING_KEY": "/etc/noria/signing.pem",
        "NORIA_TRUSTED_KEYS": "/etc/noria/trusted",
    }
    found = given(tmp_path, places, source=Path("/usr/share/datasets/fashion-mnist"))
    assert found.writable == (tmp_path / "home", Path("/srv/objects"))
    assert found.readable == (Path("/etc/noria"), Path("/usr/share/datasets/fashion-mnist"))
    assert {name: found.environment[name] for name in places} == places
    assert found.environment["NORIA_SOURCE_FASHION"] == "/usr/share/datasets/fashion-mnist"


def test_s3_is_reached_over_this_machines_network_with_the_persons_credentials(tmp_path):
    environment = {"NORIA_OBJECTS": "s3://bucket/place", "AWS_ACCESS_KEY_ID": "somebody", "HOME": "/root"}
    found = given(tmp_path, environment)
    assert found.network == "host"
    assert found.writable == (tmp_path / "home",)
    assert found.environment["AWS_ACCESS_KEY_ID"] == "somebody"
    assert "HOME" not in found.environment


def test_the_folder_of_the_keys_of_s3_is_given_to_be_read(tmp_path):
    found = given(tmp_path, {"NORIA_OBJECTS": "s3://bucket/place", "NORIA_OBJECTS_KEYS": "/etc/store"})
    assert Path("/etc/store") in found.readable
    assert found.environment["NORIA_OBJECTS_KEYS"] == "/etc/store"
    assert given(tmp_path, {"NORIA_OBJECTS_KEYS": "keys"}).environment["NORIA_OBJECTS_KEYS"] == str(tmp_path / "keys")


def test_a_step_computes_with_the_kernels_that_it_would_have_outside(tmp_path):
    """A BLAS that is told of another processor comes to other last bits, and these to another bundle."""
    environment = {"OPENBLAS_CORETYPE": "Haswell", "OMP_NUM_THREADS": "2", "PYTHONPATH": "/elsewhere"}
    found = given(tmp_path, environment).environment
    assert (found["OPENBLAS_CORETYPE"], found["OMP_NUM_THREADS"]) == ("Haswell", "2")
    assert "PYTHONPATH" not in found


def test_another_image_is_named_by_a_setting_and_no_step_is_told_of_containers(tmp_path):
    found = given(tmp_path, {"NORIA_IMAGE": "mine/python:1", "NORIA_RUNNER": "docker"})
    assert found.image == "mine/python:1"
    assert not {"NORIA_IMAGE", "NORIA_RUNNER"} & found.environment.keys()


def test_a_step_gets_no_more_rights_than_in_a_restricted_pod_and_the_persons_own_user(tmp_path):
    arguments = given(tmp_path, source=tmp_path / "source").arguments()
    assert arguments["user"] == f"{os.getuid()}:{os.getgid()}"
    assert (arguments["read_only"], arguments["cap_drop"]) == (True, ["ALL"])
    assert arguments["security_opt"] == ["no-new-privileges"]
    mounts = {mount["Target"]: mount for mount in arguments["mounts"]}
    assert {mount["Source"] == target for target, mount in mounts.items()} == {True}
    assert [target for target, mount in mounts.items() if mount["ReadOnly"]] == [str(tmp_path / "source")]


def test_without_an_engine_it_is_said_what_to_do(tmp_path):
    """By the command, in a process of its own: the client of Docker leaves a socket open where nobody answers."""
    environment = {"NORIA_HOME": str(tmp_path), "NORIA_RUNNER": "docker", "DOCKER_HOST": f"unix://{tmp_path}/nobody"}
    words = [Path(sys.executable).with_name("noria"), "run", "--task", "fashion", "--json"]
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.search(r"no Docker engine answers .*: start it, or run without NORIA_RUNNER=docker", done.stdout)


def test_a_runner_that_nobody_knows_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(UsageError, match="NORIA_RUNNER is 'podman': expected subprocess or docker"):
        given(tmp_path, {"NORIA_RUNNER": "podman"})


def test_the_image_of_the_compiled_pipeline_gives_way_to_the_one_that_was_asked_for(tmp_path):
    from pipelines.compiling import COMPILED
    from pipelines.laptop import _compiled

    other = replace(given(tmp_path), image="mine/python:1")
    text = _compiled(COMPILED, other)
    assert "image: noria/python-steps" not in text
    assert text.count("image: mine/python:1\n") == COMPILED.read_text().count("image: noria/python-steps")
    assert _compiled(COMPILED, None) == COMPILED.read_text()
