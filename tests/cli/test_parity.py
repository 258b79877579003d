"""Parity: two runs are compared by what they came to, wherever they ran."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from noria_command import Done, Noria

from noria.settings import Settings
from noria.steps.workspace import Workspace
from noria.stores.runs import RunLog

pytestmark = pytest.mark.xdist_group("outsider")

TASK = ("--task", "wine")


@dataclass(frozen=True, kw_only=True)
class Story:
    """The same run in two homes, and in the second one two after it: of another seed, and on data that are too few."""

    here: Noria
    there: Noria
    first: Done
    same: Done
    other: Done
    invalid: Done

    def compare(self, one: str, other: str, *words: str) -> Done:
        return self.here("parity", one, other, *TASK, *words)


@pytest.fixture(scope="module")
def story(wine_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    here = Noria(home=tmp_path_factory.mktemp("here") / "home", site=wine_site)
    there = replace(here, home=tmp_path_factory.mktemp("there") / "home")
    first, same, other = here.run(), there.run(), there.run("--param", "seed=2")
    invalid = there.run("--param", "rules.min_rows=100000")
    return Story(here=here, there=there, first=first, same=same, other=other, invalid=invalid)


def runs(noria: Noria) -> list[str]:
    """Their ids, the oldest first."""
    return [each["id"] for each in reversed(noria("status", *TASK, "--json").told["runs"])]


def plans(noria: Noria) -> list[str]:
    return [entry["plan"] for entry in noria.ledger() if entry["kind"] == "evaluated"]


def test_the_same_run_in_another_home_is_equal_in_every_fact(story: Story) -> None:
    done = story.compare(str(story.here.home), f"{story.there.home}#{plans(story.there)[0][:10]}", "--json")
    assert done.code == 0, done.err
    told = done.told
    assert told["equal"] is True
    compared = {each["what"]: each for each in told["compared"]}
    assert all(each["equal"] and each["one"] for each in compared.values())
    assert compared["bundle"]["one"] == story.first.told["bundle"] == story.same.told["bundle"]
    assert compared["dataset"]["one"] == story.first.told["dataset"]
    assert {"plan", "code", "  model.onnx", "evaluation", "decision", "entry: evaluated"} <= compared.keys()
    assert compared["events"]["one"] == compared["dataset"]["one"], "this task joins nothing to what it reads"
    assert told["lacks"] == []
    assert compared["entry: promoted"]["one"] != "none"
    assert told["parameters"] == []


def test_figures_of_the_moment_differ_and_make_no_difference(story: Story) -> None:
    done = story.compare(str(story.here.home), f"{story.there.home}#{plans(story.there)[0]}", "--json")
    figures = {each["what"]: each for each in done.told["figures"]}
    assert done.code == 0
    assert not figures["signed by"]["equal"], "each home signs with its own key"
    assert not figures["decided at"]["equal"]
    assert figures["served, p95"]["one"].endswith(" ms")


def test_a_place_means_its_last_run_and_another_seed_is_another_model(story: Story) -> None:
    done = story.compare(str(story.here.home), str(story.there.home), "--json")
    assert done.code == 1, done.err
    told = done.told
    different = {each["what"] for each in told["compared"] if not each["equal"]}
    assert told["equal"] is False
    assert {"plan", "bundle", "  model.onnx", "evaluation", "decision", "entry: evaluated"} <= different
    assert not {"code", "dataset", "findings in the data"} & different
    assert [(each["what"], each["one"], each["other"]) for each in told["parameters"]] == [("seed", "1", "2")]


def test_a_run_is_named_by_the_id_that_status_shows_it_by(story: Story) -> None:
    run = story.here("status", *TASK, "--json").told["runs"][0]["id"]
    done = story.compare(run, f"{story.there.home / 'objects'}#{plans(story.there)[0][:8]}")
    assert done.code == 1, "the keys of an object store without its home are not trusted here"
    assert "trust" in done.err
    done = story.compare(run, str(story.here.home), "--json")
    assert (done.code, done.told["equal"]) == (0, True)


def test_a_run_whose_objects_lie_in_s3_is_compared_by_their_address(
    story: Story, s3_address: str, tmp_path: Path
) -> None:
    there = replace(story.here, home=tmp_path / "home", settings={"NORIA_OBJECTS": s3_address})
    assert there.run().told["bundle"] == story.first.told["bundle"]
    done = there("parity", str(story.here.home), s3_address, *TASK, "--json")
    assert (done.code, done.told["equal"]) == (0, True), done.out + done.err
    assert done.told["other"].startswith(f"{s3_address}#")


@pytest.mark.parametrize("where", [".", ".noria"])
def test_in_the_folder_of_a_project_both_it_and_its_home_are_the_place(
    story: Story, tmp_path: Path, where: str
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.noria]\n")
    shutil.copytree(story.here.home, tmp_path / ".noria")
    done = replace(story.here, home=None, folder=tmp_path)("parity", where, str(story.here.home), *TASK, "--json")
    assert (done.code, done.told["equal"]) == (0, True), done.err
    assert done.told["one"].startswith(f"{tmp_path / '.noria' / 'objects'}#")


def test_the_folder_of_a_project_means_the_home_that_its_settings_name(story: Story, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.noria]\n")
    done = replace(story.here, folder=tmp_path)("parity", ".", str(story.there.home), *TASK, "--json")
    assert done.told["one"].startswith(f"{story.here.home / 'objects'}#")


def test_two_runs_of_one_plan_that_came_to_other_bits_are_different(story: Story, tmp_path: Path) -> None:
    """What was done by the second run is entered as if it had been of the first one's plan."""
    home = tmp_path / "home"
    shutil.copytree(story.there.home, home)
    workspace = Workspace(settings=Settings.from_environment({"NORIA_HOME": str(home)}))
    log, ledger = RunLog(workspace.store, "wine"), workspace.ledger("wine", writable=True)
    _, other, first = log.last(3)
    entry = next(each for each in ledger.entries() if (each.kind, each.bundle) == ("evaluated", other.bundle))
    told = {"champion": entry.champion, "basis": entry.basis, "evidence": entry.evidence, "code": entry.code}
    ledger.record_evaluation(
        bundle=other.bundle, plan=first.plan, passed=entry.passed, reason=entry.reason, actor="pipeline", **told
    )
    log.add(replace(other, id="twin", plan=first.plan))
    done = story.compare(f"{home}#{first.id}", f"{home}#twin", "--json")
    assert (done.code, done.told["equal"]) == (1, False), done.err
    compared = {each["what"]: each["equal"] for each in done.told["compared"]}
    assert (compared["plan"], compared["bundle"], compared["  model.onnx"]) == (True, False, False)


def test_a_run_that_came_to_no_verdict_is_compared_by_what_is_kept_of_it(story: Story) -> None:
    assert story.invalid.code == 3, story.invalid.err
    first, _, invalid = runs(story.there)
    done = story.compare(f"{story.there.home}#{invalid}", f"{story.there.home}#{first}", "--json")
    assert (done.code, done.told["equal"]) == (1, False), done.err
    compared = {each["what"]: each for each in done.told["compared"]}
    assert (compared["code"]["equal"], compared["plan"]["equal"], compared["dataset"]["one"]) == (True, False, "")
    assert compared["decision"]["one"].startswith("none, refused: ")
    (lacks,) = done.told["lacks"]
    assert f"{invalid} came to no verdict" in lacks
    assert [each["what"] for each in done.told["parameters"]] == ["rules"]
    same = story.compare(f"{story.there.home}#{invalid}", f"{story.there.home}#{invalid}")
    assert same.code == 0
    assert "Not compared" in same.out


def test_a_dataset_that_is_gone_makes_no_difference_and_is_said(story: Story, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(story.here.home, copy)
    shutil.rmtree(copy / "objects" / "datasets")
    done = story.compare(str(copy), str(story.here.home), "--json")
    assert (done.code, done.told["equal"]) == (0, True), done.err
    assert "events" not in {each["what"] for each in done.told["compared"]}
    assert "does not tell here what it was made of" in done.told["lacks"][0]


def test_people_see_what_differs_beside_what_may(story: Story) -> None:
    done = story.compare(str(story.here.home), str(story.there.home))
    assert done.code == 1
    assert re.search(r"^ *≠ +plan +[0-9a-f]{16} +[0-9a-f]{16} *$", done.out, re.MULTILINE), done.out
    assert re.search(r"^ *= +dataset +[0-9a-f]{16} *$", done.out, re.MULTILINE), done.out
    assert re.search(r"^ *seed +1 +2 *$", done.out, re.MULTILINE), done.out
    assert done.out.index("Has to be equal") < done.out.index("May differ") < done.out.index("Parameters that differ")
    assert re.search(r"^The runs differ: \d+ of \d+ facts of wine are the same$", done.out, re.MULTILINE)


def test_a_bundle_that_was_altered_is_no_basis_for_a_comparison(story: Story, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(story.here.home, copy)
    manifest = copy / "objects" / "bundles" / story.first.told["bundle"] / "manifest.json"
    manifest.chmod(0o644)
    found = json.loads(manifest.read_text())
    found["files"]["model.onnx"] = "0" * 64
    manifest.write_text(json.dumps(found))
    done = story.compare(str(story.here.home), str(copy))
    assert done.code == 1
    assert "was altered" in done.err


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ("ffffffff-no-such", "no run begins with 'ffffffff-no-such'"),
        ("HOME#zz", "no run begins with 'zz'"),
        ("HOME#2", "[23] (runs|plans) begin with '2'"),
        ("", ""),
    ],
)
def test_a_word_that_means_no_run_ends_with_2_and_those_there_are(story: Story, one: str, said: str) -> None:
    done = story.compare(one.replace("HOME", str(story.there.home)), str(story.here.home))
    if one:
        assert done.code == 2, done.err
        assert re.search(said, done.err), done.err
    else:
        assert done.code == 0, "without a word it is the last run of this home"


def test_a_place_without_a_run_says_so(story: Story, tmp_path: Path) -> None:
    done = story.compare(str(tmp_path), str(story.here.home))
    assert (done.code, "no run of wine" in done.err) == (2, True), done.err


def test_help_says_what_is_compared_and_how_runs_are_named(story: Story) -> None:
    said = " ".join(story.here("parity", "--help").out.split())
    assert "Example: noria parity" in said
    assert "Exit codes: 0 equal; 1 different" in said
    assert "RUN, PLACE or PLACE#RUN" in said
    assert "--json" in said
