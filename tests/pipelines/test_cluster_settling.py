"""A run that gets no plan, as on a cluster, settles itself, and finds what a planned run of the same came to."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from noria_command import ROOT, Noria

pytestmark = pytest.mark.xdist_group("outsider")

# What KFP does with a submitted run: the arguments of `noria submit`, and the compiled file as it is laid over.
PROGRAM = """
import json, sys
from pathlib import Path
import msgspec
from noria.cli.project import enter_project
from noria.cli.submit import ask_for
enter_project()
from noria.steps.judge import recall
from noria.steps.workspace import Workspace
from pipelines.compiling import COMPILED
from pipelines.laptop import run
from pipelines.overlay import Choices, lay_over

place, at, *pairs = sys.argv[1:]
workspace = Workspace.from_environment()
home = workspace.settings.home
package = Path(place) / "laid.yaml"
package.write_text(lay_over(COMPILED, Choices()))
request = ask_for("wine", "dev", ["threads=1", *pairs], at=at)
(cache,) = (home / "pipeline").glob("cache-*")
lines = []
run(package, request.arguments, home=home, cache=cache, store=workspace.store, listen=lines.append)
entry = [entry for entry in workspace.ledger("wine").entries() if entry.kind == "evaluated"][-1]
decision = msgspec.to_builtins(recall(workspace.ledger("wine"), entry.plan, entry.basis))
print(json.dumps({"name": request.name, "decision": decision, "lines": lines}))
"""


@dataclass(frozen=True, kw_only=True)
class Story:
    noria: Noria
    planned: dict[str, Any]
    same: dict[str, Any]
    refused: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def story(wine_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("settling")
    noria = Noria(home=folder / "home", site=wine_site)

    def on_a_cluster(*words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, str(folder), *words],
            cwd=ROOT, env=noria.environment, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    planned = noria.run()
    assert planned.code == 0, planned.err
    return Story(
        noria=noria, planned=planned.told, folder=folder, same=on_a_cluster("2026-03-05T02:00:00Z"),
        refused=on_a_cluster("2026-03-05T03:00:00Z", "limits.ece=0.0"),
    )  # fmt: skip


def hits(told: dict[str, Any]) -> set[str]:
    from pipelines.laptop import cached_step

    return {step for line in told["lines"] if (step := cached_step(line))}


def test_it_comes_to_the_same_plan_and_finds_every_other_step_done(story: Story) -> None:
    assert story.same["decision"]["verdict"]["bundle"] == story.planned["bundle"]
    assert hits(story.same) == {"ingest", "features", "validate", "train", "evaluate", "rehearse", "judge"}
    plan = story.noria.ledger()[0]["plan"]
    assert any(f"plan {plan}" in line and "against nobody" in line for line in story.same["lines"])


def test_it_challenges_the_champion_of_its_own_moment(story: Story) -> None:
    verdict = story.refused["decision"]["verdict"]
    assert (verdict["champion"], verdict["passed"]) == (story.planned["bundle"], False)
    entry = story.noria.ledger()[-1]
    assert (entry["kind"], entry["passed"], entry["champion"]) == ("evaluated", False, story.planned["bundle"])
    assert hits(story.refused) == {"ingest", "features", "validate", "train", "rehearse"}  # what limits do not touch


def test_the_pages_that_kfp_shows_are_written(story: Story) -> None:
    pages = sorted((story.folder / "home" / "pipeline").rglob("judge/summary"))
    told = [page.read_text() for page in pages]
    assert any(text.startswith("passed all 13 gates") for text in told)
    assert any(text.startswith("refused, because calibrated: ") and "| **no** | calibrated |" in text for text in told)
    reports = [page.read_text() for page in (story.folder / "home" / "pipeline").rglob("judge/report")]
    assert all(text.startswith("<!doctype html>") for text in reports)
    assert len(reports) == len(told) == 2
    assert any('"step":"judge","text":"refused, because calibrated' in line for line in story.refused["lines"])
    confusion = [page.read_bytes() for page in (story.folder / "home" / "pipeline").rglob("evaluate/confusion")]
    assert all(json.loads(text)["classes"] == ["plain", "good", "fine"] for text in confusion)


def test_its_name_says_what_was_asked(story: Story) -> None:
    assert story.same["name"].startswith("wine 2026-01-01..2026-03-02 seed 1 asked ")
    assert story.same["name"] != story.refused["name"]
