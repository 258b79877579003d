"""The seam: a problem that Noria never heard of goes from ingest to prediction, and the wheel turns for it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from noria_command import Done, Noria

from noria.settings import Settings
from noria.steps.judge import judge
from noria.steps.workspace import Workspace

pytestmark = pytest.mark.xdist_group("outsider")  # all look at one story, which takes its time

STEPS = {"settle", "ingest", "features", "validate", "train", "evaluate", "rehearse", "judge", "deploy"}


@dataclass(frozen=True, kw_only=True)
class Story:
    """A first run, the same again, a challenger, one that a gate refuses, a rollback, and the first plan once more."""

    noria: Noria
    first: Done
    again: Done
    challenger: Done
    refused: Done
    status_after_refusal: Done
    rollback: Done
    after_rollback: Done

    def last_runs(self) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.noria("status", "--task", "wine", "--json").told["runs"]
        return runs


@pytest.fixture(scope="module")
def story(wine_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    noria = Noria(home=tmp_path_factory.mktemp("story") / "home", site=wine_site)
    return Story(
        noria=noria,
        first=noria.run(),
        again=noria.run(),
        challenger=noria.run("--param", "seed=2"),
        refused=noria.run("--param", "limits.ece=0.0"),
        status_after_refusal=noria("status", "--task", "wine", "--json"),
        rollback=noria("rollback", "--task", "wine", "--reason", "a test of it", "--json"),
        after_rollback=noria.run(),
    )


def test_the_first_run_promotes_and_the_real_server_answers(story: Story) -> None:
    assert story.first.code == 0, story.first.err
    told = story.first.told
    assert (told["outcome"], told["compared_with"]) == ("promoted", "")
    assert len(told["verdict"]["gates"]) == 13
    assert all(gate["passed"] for gate in told["verdict"]["gates"])
    asked = told["prediction"]
    assert asked["bundle"] == told["bundle"]
    assert asked["decision"] in asked["probabilities"]
    assert set(asked["probabilities"]) == {"plain", "good", "fine"}
    assert told["scores"]["candidate"]["accuracy"]["low"] > told["scores"]["rule"]["accuracy"]["high"] > 0.5
    assert told["scores"]["rule"]["accuracy"]["low"] > told["scores"]["no-skill"]["accuracy"]["high"]
    page = Path(told["report"]).read_text()
    assert page.startswith("<!doctype html>")
    assert "Promoted" in page


def test_the_server_was_asked_by_several_at_once_and_told_its_memory(story: Story) -> None:
    entry = story.noria.ledger()[0]
    kept = json.loads((story.noria.home / "objects" / "evidence" / f"{entry['evidence']}.json").read_text())
    serving, limits = kept["evidence"]["serving"], kept["limits"]
    assert 100 <= serving["load_requests"] <= 1000
    assert limits["rows_per_second"] == 100 <= serving["rows_per_second"] < 100_000
    assert 10 < serving["memory_mib"] <= limits["memory_mib"] == 1024
    assert (serving["wrong"], serving["errors"]) == (0, 0)
    gates = {gate["name"]: gate for gate in story.first.told["verdict"]["gates"]}
    said = f"{serving['rows_per_second']:,.1f} rows/s in {serving['load_requests']:,} requests"
    assert gates["bears the load"]["figure"] == said
    assert gates["fits into memory"]["figure"] == f"{serving['memory_mib']:,.1f} MiB resident"
    assert all(words in Path(story.first.told["report"]).read_text() for words in gates)


def test_a_second_run_finds_every_step_done(story: Story) -> None:
    assert story.again.code == 0, story.again.err
    first, again = story.first.told, story.again.told
    assert again["outcome"] == "unchanged"
    assert (again["bundle"], again["dataset"]) == (first["bundle"], first["dataset"])
    seconds = story.last_runs()[3]["steps"]
    assert set(seconds) == set(STEPS)
    assert {step for step, taken in seconds.items() if taken} == {"settle", "deploy"}, "which no cache may answer for"
    assert again["seconds"] < 10


def test_a_challenger_is_compared_with_the_champion_on_the_same_rows(story: Story) -> None:
    first, challenger = story.first.told, story.challenger.told
    assert challenger["compared_with"] == first["bundle"] != challenger["bundle"]
    assert challenger["dataset"] == first["dataset"]
    assert challenger["scores"]["champion"]["accuracy"]["value"] == first["scores"]["candidate"]["accuracy"]["value"]
    assert (story.challenger.code, challenger["outcome"]) == (0, "promoted"), challenger["reason"]
    steps = story.last_runs()[2]["steps"]
    assert {name for name, seconds in steps.items() if seconds == 0.0} == {"ingest", "features", "validate"}


def test_a_gate_keeps_a_candidate_out_and_the_champion_stays(story: Story) -> None:
    told, status = story.refused.told, story.status_after_refusal.told
    assert (story.refused.code, told["outcome"]) == (3, "refused")
    assert [gate["name"] for gate in told["verdict"]["gates"] if not gate["passed"]] == ["calibrated"]
    assert "calibrated" in told["reason"]
    assert "Refused" in Path(told["report"]).read_text()
    assert status["champion"]["digest"] == story.challenger.told["bundle"]
    assert status["runs"][0]["outcome"] == "refused"
    assert set(status["runs"][0]["steps"]) == STEPS - {"deploy"}
    assert status["verdicts"][0]["passed"] is False
    assert (status["verdicts"][0]["kind"], status["verdicts"][0]["bundle"]) == ("evaluated", told["bundle"])


def test_a_limit_that_is_not_the_environments_own_is_told_wherever_the_verdict_is(story: Story) -> None:
    said = "ece 0 (tighter than 0.03)"
    told, entry = story.refused.told, story.noria.ledger()[4]
    assert told["verdict"]["departures"] == [{"limit": "ece", "found": 0.0, "expected": 0.03, "looser": False}]
    assert story.first.told["verdict"]["departures"] == []
    assert f"limits not the environment's own: {said}" in told["reason"] == entry["reason"]
    assert said in Path(told["report"]).read_text()
    kept = json.loads((story.noria.home / "objects" / "evidence" / f"{entry['evidence']}.json").read_text())
    assert (kept["limits"]["ece"], kept["usual"]["ece"]) == (0.0, 0.03)


def test_a_judgement_that_is_repeated_goes_by_the_evidence_that_the_ledger_names(story: Story, tmp_path: Path) -> None:
    shutil.copytree(story.noria.home, tmp_path / "home")
    workspace = Workspace(settings=Settings.from_environment({"NORIA_HOME": str(tmp_path / "home")}))
    before = workspace.ledger("wine").entries()
    kept = json.loads(workspace.store.get(f"evidence/{before[0].evidence}.json"))
    measured_again = kept["evidence"]["serving"] | {"p50_ms": kept["evidence"]["serving"]["p50_ms"] + 0.25}
    places = {}
    for name, piece in (kept["evidence"] | {"serving": measured_again}).items():
        places[name] = str(tmp_path / name)
        (tmp_path / name).write_text(json.dumps(piece))
    made = judge(
        workspace, bundle=before[0].bundle, evidence=places, limits=kept["limits"], environment_limits=kept["usual"],
        plan=before[0].plan, basis=before[0].basis, code=before[0].code,
    )  # fmt: skip
    assert made.word == "promote"
    assert workspace.ledger("wine").entries() == before
    assert made.decision.evidence_digest == before[0].evidence
    assert made.decision.evidence.serving.p50_ms == kept["evidence"]["serving"]["p50_ms"]  # type: ignore[union-attr]
    assert workspace.store.get(made.decision.report).decode() == made.page
    assert "Promoted" in made.page  # as it was: a judgement that is repeated takes nothing back


def test_a_rollback_is_an_entry_and_the_ledger_stays_whole(story: Story) -> None:
    first, challenger = story.first.told["bundle"], story.challenger.told["bundle"]
    assert story.rollback.code == 0, story.rollback.err
    entry = story.rollback.told
    assert (entry["kind"], entry["bundle"], entry["champion"]) == ("rolled-back", first, challenger)
    kinds = [entry["kind"] for entry in story.noria.ledger()]
    assert kinds[:6] == ["evaluated", "promoted", "evaluated", "promoted", "evaluated", "rolled-back"]
    verified = story.noria("releases", "verify", "--task", "wine", "--json")
    assert (verified.code, verified.told["problems"]) == (0, [])


def test_after_a_rollback_the_same_plan_finds_its_model_in_office(story: Story) -> None:
    assert story.after_rollback.code == 0, story.after_rollback.err
    assert story.after_rollback.told["bundle"] == story.first.told["bundle"]
    assert story.noria("which", "--task", "wine", "--json").told["entry"]["bundle"] == story.first.told["bundle"]


def test_what_a_person_rolled_back_no_run_brings_back(story: Story) -> None:
    again = story.noria.run("--param", "seed=2")
    assert again.code == 3, again.err
    told = again.told
    assert (told["outcome"], told["verdict"]["champion"]) == ("refused", story.first.told["bundle"])
    assert "what a person decided no run undoes" in told["reason"]
    assert "(a test of it)" in told["reason"]
    assert re.search(r"^deploy: refused \(bundle .* took it back on ", again.err, re.MULTILINE), again.err
    page = Path(told["report"]).read_text()
    assert "Refused" in page
    assert "and was refused all the same: bundle " in page
    assert "(a test of it)" in page
    (last, *_) = story.noria("status", "--task", "wine", "--json").told["runs"]
    assert (last["outcome"], last["reason"], last["bundle"]) == ("refused", told["reason"], told["bundle"])
    shown = story.noria("run", "--task", "wine", "--param", "threads=1", "--param", "seed=2")
    assert shown.code == 3, shown.err
    assert re.search(r"Verdict  refused, because bundle .* was champion, and a person took it back", shown.out), (
        shown.out
    )
    assert story.noria("which", "--task", "wine", "--json").told["entry"]["bundle"] == story.first.told["bundle"]


def test_the_past_can_be_asked(story: Story) -> None:
    entries = story.noria.ledger()
    before = story.noria("which", "--task", "wine", "--at", "2020-01-01", "--json")
    then = story.noria("which", "--task", "wine", "--at", entries[3]["time"], "--json")
    assert (before.code, before.told["entry"]) == (0, None)
    assert then.told["entry"]["bundle"] == story.challenger.told["bundle"]


def test_a_row_of_the_dataset_can_be_asked_for(story: Story) -> None:
    asked = story.noria("predict", "--task", "wine", "--row", "3", "--json")
    assert asked.code == 0, asked.err
    assert (asked.told["row"], asked.told["bundle"]) == (3, story.first.told["bundle"])
    assert asked.told["truth"] in ("plain", "good", "fine")
    assert story.noria("predict", "--task", "wine", "--row", "6000", "--json").code == 2


def test_datasets_plan_and_doctor_know_the_task(story: Story) -> None:
    datasets = story.noria("datasets", "--json").told
    assert [(found["task"], found["rows"]) for found in datasets] == [("wine", 6000)]
    assert datasets[0]["digest"] == story.first.told["dataset"]
    columns = {
        column["name"]: column
        for column in story.noria("datasets", datasets[0]["digest"][:8], "--json").told["dictionary"]
    }
    assert columns["acids"]["shape"] == [4]
    assert {step["name"] for step in story.noria("plan", "--task", "wine", "--json").told["steps"]} == STEPS
    findings = {found["what"]: found["well"] for found in story.noria("doctor", "--json").told}
    assert findings["source of wine"]
    assert findings["ledger of wine"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--task", "vine"), r"no task 'vine': found .*wine"),
        (("run", "--task", "wine", "--param", "sead=2"), "no parameter 'sead': there are .*seed"),
        (("run", "--task", "wine", "--param", "limits.margins=1"), "limits has no margins: there are margin"),
        (("run", "--task", "wine", "--param", "seed=two"), "wrong type.*seed"),
        (("run", "--task", "wine", "--param", "requests=0"), "parameter requests is 0: expected at least 1"),
        (("run", "--task", "wine", "--env", "prod", "--param", "limits.ece=0.5"), "ece 0.5 .looser than 0.03.: prod"),
    ],
)
def test_a_wrong_word_ends_with_2_and_what_is_allowed(wine: Noria, words: tuple[str, ...], said: str) -> None:
    done = wine(*words)
    assert done.code == 2
    assert done.out == ""
    assert re.search(said, done.err), done.err
