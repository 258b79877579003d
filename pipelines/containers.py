"""Containers: run each step in the image that a cluster would give it, on this machine's Docker engine."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noria.code import sources_digest
from noria.errors import NoriaError
from noria.settings import Settings
from noria.task import Task

# Run in the image, in the folder of its programs: the digest of the sources that its steps are made of.
ASK_SOURCES = (
    "import sys; from pathlib import Path; from noria.code import sources_digest; from noria.task import load_task; "
    "print(sources_digest(load_task(sys.argv[1]), Path.cwd()))"
)


@dataclass(frozen=True, kw_only=True)
class Containers:
    """What the steps' containers are given. Paths mean the same inside and outside, so addresses do, too."""

    image: str
    environment: Mapping[str, str]
    writable: tuple[Path, ...]
    readable: tuple[Path, ...]
    network: str

    def arguments(self) -> dict[str, Any]:
        """What docker is asked for: as little as a pod of a cluster gets, and the person's own user."""
        from docker.types import Mount

        mounts = [Mount(str(path), str(path), type="bind") for path in self.writable]
        mounts += [Mount(str(path), str(path), type="bind", read_only=True) for path in self.readable]
        return {
            "environment": dict(self.environment),
            "mounts": mounts,
            "network_mode": self.network,
            "user": f"{os.getuid()}:{os.getgid()}",
            "read_only": True,
            "tmpfs": {"/tmp": "mode=1777"},  # noqa: S108  # the container's own
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "init": True,
        }


def containers_for(
    settings: Settings, image: str, task: str, source: Path | None, handed_on: Mapping[str, str]
) -> Containers:
    """Say what the steps need of this machine: the home, the stores and keys outside of it, and the task's source.

    `handed_on` is what `settings.handed_on` found; the places in it are replaced by whole paths. S3 may be at an
    address of this machine, so the steps share its network then.
    """
    home = settings.home.absolute()
    places = {
        "NORIA_HOME": home,
        "NORIA_SIGNING_KEY": settings.signing_key.absolute(),
        "NORIA_TRUSTED_KEYS": settings.trusted_keys.absolute(),
    }
    elsewhere = [places["NORIA_SIGNING_KEY"].parent, places["NORIA_TRUSTED_KEYS"]]
    if settings.access.keys is not None:
        places["NORIA_OBJECTS_KEYS"] = settings.access.keys.absolute()
        elsewhere.append(places["NORIA_OBJECTS_KEYS"])
    if source is not None:
        places[settings.source_variable(task)] = source.absolute()
        elsewhere.append(source.absolute())
    in_s3 = "://" in settings.objects
    objects = () if in_s3 else (Path(settings.objects),)
    unknown = {"NORIA_RUNNER", "NORIA_IMAGE"}
    return Containers(
        image=settings.image or image,
        environment={name: value for name, value in handed_on.items() if name not in unknown}
        | {name: str(path) for name, path in places.items()}
        | {"NORIA_OBJECTS": settings.objects},
        writable=_outside((home, *objects)),
        readable=_outside(tuple(elsewhere), given=(home, *objects)),
        network="host" if in_s3 else "bridge",
    )


def _outside(paths: tuple[Path, ...], given: tuple[Path, ...] = ()) -> tuple[Path, ...]:
    """The paths that lie in none before them, nor in one of `given`."""
    found: list[Path] = []
    for path in paths:
        if not any(path.is_relative_to(other) for other in (*given, *found)):
            found.append(path)
    return tuple(found)


def check_image(containers: Containers, task: Task, project: Path) -> None:
    """Refuse an image that is not there, or whose steps are made of other sources than those of this folder.

    A run writes down which code it was, and must not say so of other code.
    """
    import docker
    from docker.errors import DockerException, ImageNotFound

    image = containers.image
    try:
        client = docker.from_env()
    except DockerException as error:
        raise NoriaError(f"no Docker engine answers ({error}): start it, or run without NORIA_RUNNER=docker") from error
    try:
        client.images.get(image)  # one that is not there would else be looked for in a registry
        found = _ask_sources(client, image, task)
    except ImageNotFound as error:
        raise NoriaError(
            f"there is no image {image} here: `make images` builds it; NORIA_IMAGE names another one"
        ) from error
    finally:
        client.close()
    expected = sources_digest(task, project)
    if found != expected:
        raise NoriaError(
            f"image {image} was made of other sources ({found[:12]}) than those here ({expected[:12]}): `make images`"
        )


def _ask_sources(client: Any, image: str, task: Task) -> str:
    with _started(client, image, ["python3", "-c", ASK_SOURCES, task.name], network_mode="none") as container:
        status = container.wait()["StatusCode"]
        told: bytes = container.logs(stdout=True, stderr=False)
        said: bytes = container.logs(stdout=False, stderr=True)
    if status:
        why = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise NoriaError(
            f"image {image} cannot load task {task.name} ({why}): build one from it that has the task's package, "
            "and name it in NORIA_IMAGE"
        )
    return told.decode().strip()


@contextmanager
def steps_in_containers(containers: Containers) -> Iterator[Any]:
    """Give a runner to `kfp.local.init`, and let the containers end with the run."""
    from kfp import local
    from kfp.local import docker_task_handler

    before = docker_task_handler.run_docker_container
    docker_task_handler.run_docker_container = _run_step
    try:
        yield local.DockerRunner(**containers.arguments())
    finally:
        docker_task_handler.run_docker_container = before


def _run_step(client: Any, image: str, command: list[str], volumes: Mapping[str, Any], **arguments: Any) -> int:
    """Run one step to its end, and pass on what it prints; returns its exit status.

    In place of kfp.local's own, which takes a container that was removed before it was asked for a success, and
    leaves one behind that still works when the run is broken off.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with _started(client, image, command, volumes=volumes, **arguments) as container:
        for piece in container.logs(stream=True, follow=True):
            sys.stdout.write(decoder.decode(piece))
        return int(container.wait()["StatusCode"])


@contextmanager
def _started(client: Any, image: str, command: list[str], **arguments: Any) -> Iterator[Any]:
    """A container, which is gone with the block, whatever ends it."""
    container = client.containers.run(image, command, detach=True, **arguments)
    try:
        yield container
    finally:
        container.remove(force=True, v=True)
