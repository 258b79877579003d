"""Parity: two runs are compared by what they came to, wherever they ran."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from noria_command import Done, Noria

pytestmark = pytest.mark.xdist_group("outsider")

TASK = ("--task", "wine")


@dataclass(frozen=True, kw_only=True)
class Story:
    """The same run in two homes, and in the second one another run after it, of another seed."""

    here: Noria
    there: Noria
    first: Done
    same: Done
    other: Done

    def compare(self, one: str, other: str, *words: str) -> Done:
        return self.here("parity", one, other, *TASK, *words)


@pytest.fixture(scope="module")
def story(wine_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    here = Noria(home=tmp_path_factory.mktemp("here") / "home", site=wine_site)
    there = replace(here, home=tmp_path_factory.mktemp("there") / "home")
    return Story(here=here, there=there, first=here.run(), same=there.run(), other=there.run("--param", "seed=2"))


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
        ("ffffffff-no-such", "no run that came to a verdict begins with 'ffffffff-no-such'"),
        ("HOME#zz", "no run that came to a verdict begins with 'zz'"),
        ("", "no run that came to a verdict|2 plans begin"),
    ],
)
def test_a_word_that_means_no_run_ends_with_2_and_those_there_are(story: Story, one: str, said: str) -> None:
    done = story.compare(one.replace("HOME", str(story.there.home)), str(story.here.home))
    if one:
        assert done.code == 2, done.err
        assert re.search(said, done.err), done.err
    else:
        assert done.code == 0, "without a word it is the last run of this home"


def test_a_place_without_a_verdict_says_so(story: Story, tmp_path: Path) -> None:
    done = story.compare(str(tmp_path), str(story.here.home))
    assert (done.code, "no run of wine" in done.err) == (2, True), done.err


def test_help_says_what_is_compared_and_how_runs_are_named(story: Story) -> None:
    said = " ".join(story.here("parity", "--help").out.split())
    assert "Example: noria parity" in said
    assert "Exit codes: 0 equal; 1 different" in said
    assert "RUN, PLACE or PLACE#RUN" in said
    assert "--json" in said
