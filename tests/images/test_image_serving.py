"""The predictor's image serves a champion under what a restricted pod may do, and answers as it does here."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from image_kit import ANYONE, RESTRICTED, Champion, Images, docker, in_container, in_process

from noria.stores.opening import open_store


@pytest.mark.parametrize("user", [ANYONE, "4711"])
def test_a_champion_is_served_read_only_by_any_user_and_answers_as_on_the_laptop(
    images: Images, champion: Champion, user: str
) -> None:
    with in_process(champion) as here, in_container(images["serving"], champion, "--user", user) as there:
        assert there.ask() == here.ask()
        assert httpx.get(f"{there.url}/v2/models/wine/ready").status_code == 200
        assert httpx.get(f"{there.url}/metrics").status_code == 200
        settings = json.loads(docker("container", "inspect", there.container))[0]["HostConfig"]
        assert settings["ReadonlyRootfs"]
        assert settings["CapDrop"] == ["ALL"]


def test_nothing_is_written_outside_of_tmp(images: Images, champion: Champion) -> None:
    """Where the file system may be written, so that a write would be seen and not refused."""
    with in_container(images["serving"], champion, "--cap-drop", "ALL", restricted=False) as served:
        served.ask()
        written = [line.split(maxsplit=1)[1] for line in docker("diff", served.container).splitlines()]
    mounted = ("/mnt", "/mnt/models", "/keys")
    assert [path for path in written if not path.startswith("/tmp") and path not in mounted] == []


def test_a_bundle_that_was_altered_is_not_served(images: Images, champion: Champion) -> None:
    words = ("--tmpfs", "/tmp", "--read-only", "--entrypoint", "sh", "--volume", f"{champion.bundle}:/bundle:ro")
    program = (
        "cp -r /bundle /tmp/b && chmod -R u+w /tmp/b && echo >> /tmp/b/bundle.json; "
        "python3 -m serving --bundle /tmp/b --name wine --trusted-keys /keys 2>&1; echo ended with $?"
    )
    said = docker("run", "--rm", *words, "--volume", f"{champion.keys}:/keys:ro", images["serving"], "-c", program)
    assert said.rstrip().endswith("ended with 1"), said
    assert "Traceback" not in said


def test_the_storage_container_brings_a_bundle_that_the_predictor_then_serves(
    images: Images, champion: Champion, s3_address: str, tmp_path: Path
) -> None:
    """As KServe does it: the same image twice in a pod, over a volume, the first of them with the keys of S3."""
    store = open_store(s3_address)
    store.put_folder(f"bundles/{champion.digest}", champion.bundle)
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    given = [f"--env={name}={value}" for name, value in os.environ.items() if name.startswith("AWS_")]
    given += [f"--volume={volume}:/mnt/models", f"--volume={champion.keys}:/keys:ro"]
    words = (*RESTRICTED, "--user", ANYONE, "--env", "NORIA_TRUSTED_KEYS=/keys", *given, "--network", "host")
    fetch = ("--entrypoint", "python", images["serving"], "-m", "serving.fetch")
    docker("run", "--rm", *words, *fetch, f"{s3_address}/bundles/{champion.digest}", "/mnt/models")
    assert sorted(path.name for path in volume.iterdir()) == sorted(path.name for path in champion.bundle.iterdir())
    with in_container(images["serving"], replace(champion, folder=volume)) as there, in_process(champion) as here:
        assert there.ask() == here.ask()
