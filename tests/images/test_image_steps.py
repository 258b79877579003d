"""The steps' image runs the whole pipeline under kfp.local's DockerRunner, and comes to the same as subprocesses do."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from image_kit import Champion, Images, docker
from noria_command import Done, Noria

FASHION = ("run", "--task", "fashion", "--json", "--param", "threads=1", "--param", "epochs=2")
SHORT = ("--param", "start=2017-11-01", "--param", "validation_days=2", "--param", "holdout_days=3")


def in_containers(image: str) -> dict[str, str]:
    return {"NORIA_RUNNER": "docker", "NORIA_IMAGE": image}


@dataclass(frozen=True, kw_only=True)
class Fashions:
    """A short window of fashion, run by subprocesses and, in a home of its own, in containers of the steps' image.

    `started` names the image of each container that was started meanwhile.
    """

    here: Noria
    there: Noria
    one: Done
    other: Done
    started: list[str]


@pytest.fixture(scope="module")
def fashions(images: Images, wine_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Fashions:
    here = Noria(home=tmp_path_factory.mktemp("processes") / "home", site=wine_site)
    there = replace(here, home=tmp_path_factory.mktemp("containers") / "home", settings={"NORIA_RUNNER": "docker"})
    one, since = here(*FASHION, *SHORT), time.time()
    other = there(*FASHION, *SHORT)
    seconds = ("--since", f"{since:.3f}", "--until", f"{time.time():.3f}")
    started = docker("events", *seconds, "--filter", "event=start", "--format", "{{.From}}").split()
    return Fashions(here=here, there=there, one=one, other=other, started=started)


def test_containers_come_to_the_same_as_subprocesses(fashions: Fashions) -> None:
    assert (fashions.one.code, fashions.one.told["outcome"]) == (0, "promoted"), fashions.one.err
    assert (fashions.other.code, fashions.other.told["outcome"]) == (0, "promoted"), fashions.other.err
    homes = str(fashions.here.home), str(fashions.there.home)
    done = fashions.here("parity", *homes, "--task", "fashion", "--json")
    assert done.code == 0, done.out + done.err
    compared = {each["what"]: each for each in done.told["compared"]}
    facts = {"plan", "dataset", "bundle", "evaluation", "decision", "entry: evaluated", "entry: promoted"}
    assert facts <= compared.keys()
    assert compared["bundle"]["other"] == fashions.other.told["bundle"]


def test_every_step_ran_in_a_container_and_none_is_left(images: Images, fashions: Fashions) -> None:
    steps = fashions.there("status", "--task", "fashion", "--json").told["runs"][0]["steps"]
    assert fashions.started.count(images["steps"]) == len(steps) + 1, "each step, and the question for its sources"
    assert docker("ps", "--all", "--quiet", "--filter", f"ancestor={images['steps']}") == ""


def test_a_task_of_ones_own_runs_in_an_image_made_from_ours(
    wine_image: str, champion: Champion, tmp_path: Path
) -> None:
    there = replace(champion.noria, home=tmp_path / "home", settings=in_containers(wine_image))
    done = there.run()
    assert done.code == 0, done.err
    assert done.told["bundle"] == champion.digest
    again = there.run()
    assert (again.code, again.told["outcome"]) == (0, "unchanged"), "its steps are found in the cache"


def test_what_a_step_says_against_the_data_is_told_as_on_the_laptop(
    wine_image: str, wine_site: Path, tmp_path: Path
) -> None:
    done = Noria(home=tmp_path / "home", site=wine_site, settings=in_containers(wine_image)).run(
        "--param", "rules.min_rows=100000"
    )
    assert (done.code, done.told["kind"], done.told["step"]) == (3, "ValidationError", "validate"), done.err


@pytest.mark.parametrize("moment", ["while the image is asked", "while a step runs"])
def test_a_run_that_is_interrupted_leaves_no_container_behind(
    wine_image: str, wine_site: Path, tmp_path: Path, moment: str
) -> None:
    noria = Noria(home=tmp_path / "home", site=wine_site, settings=in_containers(wine_image))
    running = ("ps", "--quiet", "--filter", f"ancestor={wine_image}")
    begun = tmp_path / "home" / ("pipeline" if "step" in moment else "")
    process = noria.start("run", "--task", "wine", "--json")
    deadline = time.monotonic() + 120
    while not (begun.is_dir() and docker(*running)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(2)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert docker("ps", "--all", "--quiet", "--filter", f"ancestor={wine_image}") == ""


def test_an_image_that_is_not_there_is_not_looked_for_elsewhere(engine: None, wine_site: Path, tmp_path: Path) -> None:
    done = Noria(home=tmp_path / "home", site=wine_site, settings=in_containers("noria-tests/nothing:1")).run()
    assert done.code == 1
    assert "there is no image noria-tests/nothing:1 here: `make images` builds it" in done.err


def test_an_image_of_other_sources_is_refused(wine_image: str, wine_site: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {wine_image}\nCOPY more.py /opt/noria/serving/more.py\n")
    (tmp_path / "more.py").write_text('"""Another."""\n')
    docker("build", "--quiet", "--tag", "noria-tests/python-other:1.0", str(tmp_path))
    done = Noria(home=tmp_path / "home", site=wine_site, settings=in_containers("noria-tests/python-other:1.0")).run()
    docker("rmi", "--force", "noria-tests/python-other:1.0")
    assert done.code == 1
    assert "was made of other sources" in done.err
    assert "make images" in done.err


def test_an_image_without_the_task_says_how_to_make_one(images: Images, wine_site: Path, tmp_path: Path) -> None:
    done = Noria(home=tmp_path / "home", site=wine_site, settings={"NORIA_RUNNER": "docker"}).run()
    assert done.code == 1
    assert "cannot load task wine" in done.err
    assert "build one from it" in done.err


@pytest.mark.parametrize("words", ["--task flights --as-of 2013-02-01", "--task fashion"])
def test_the_materialisation_job_puts_features_online(images: Images, words: str) -> None:
    """As a CronJob does it: the command of the monitoring image, for the tasks whose source it holds."""
    said = images.sh("monitoring", f"noria materialize {words} --json", "--network", "none")
    assert '"online": "/tmp/noria/features/online.db"' in said
