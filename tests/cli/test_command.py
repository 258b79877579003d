"""The command: help, exit codes, and messages that say what to do next."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERBS = ("run", "plan", "predict", "serve", "status", "releases", "rollback", "which", "datasets", "doctor")


def noria(*words, home, folder=ROOT, **environment):
    command = [str(Path(sys.executable).parent / "noria"), *words]
    kept = {"PATH": "/usr/bin:/bin", "HOME": str(home), "NORIA_HOME": str(home), "COLUMNS": "100", **environment}
    return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(tmp_path, verb):
    found = noria(verb, "--help", home=tmp_path)
    assert found.returncode == 0
    assert f"Example: noria {verb}" in found.stdout


def test_help_lists_every_verb_and_the_exit_codes(tmp_path):
    found = noria("--help", home=tmp_path)
    for verb in VERBS:
        assert f"  {verb}" in found.stdout
    assert "3 refused by a gate" in " ".join(found.stdout.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("status", "--task", "nothing"), "no task 'nothing': found"),
        (("run", "--param", "colour=red"), "no parameter 'colour'"),
        (("run", "--param", "seed"), "is no KEY=VALUE"),
        (("plan", "--env", "stage"), "no environment 'stage': there are dev, prod, qa"),
        (("which", "--at", "yesterday"), "is no instant"),
        (("predict",), "give one of --image FILE and --row N"),
        (("datasets", "abc"), "0 datasets begin with 'abc'"),
    ],
)
def test_a_wrong_word_ends_with_code_2_and_says_what_is_right(tmp_path, words, message):
    found = noria(*words, home=tmp_path)
    assert found.returncode == 2, found.stderr
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_a_setting_that_nobody_knows_is_named(tmp_path):
    found = noria("status", home=tmp_path, NORIA_OBJECT="x")
    assert found.returncode == 2
    assert "unknown settings NORIA_OBJECT" in found.stderr


def test_outside_of_a_project_it_says_where_to_go(tmp_path):
    found = noria("plan", home=tmp_path, folder=tmp_path)
    assert found.returncode == 2
    assert "is in no Noria project" in found.stderr


@pytest.mark.parametrize("words", [("serve",), ("predict", "--row", "1")])
def test_without_a_champion_it_says_how_to_make_one(tmp_path, words):
    found = noria(*words, home=tmp_path)
    assert found.returncode == 1
    assert "noria run --task fashion" in found.stderr


def test_a_source_that_is_not_there_names_the_package_and_the_setting(tmp_path):
    found = noria("run", home=tmp_path, NORIA_SOURCE_FASHION=str(tmp_path / "empty"))
    assert found.returncode == 1
    assert "dataset-fashion-mnist" in found.stderr
    assert "NORIA_SOURCE_FASHION" in found.stderr
