"""The command: help, exit codes, and messages that say what to do next."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from noria import __version__
from noria.tasks.fashion import DEBIAN_FOLDER as PICTURES

ROOT = Path(__file__).parents[2]
VERBS = (
    *("run", "plan", "predict", "serve", "status", "releases", "rollback", "which"),
    *("datasets", "dataset", "explore", "materialize", "skew", "cross-validate", "parity", "doctor"),
    *("compile", "submit", "runs", "logs", "cancel"),
)


def noria(*words, home, folder=ROOT, **environment):
    command = [str(Path(sys.executable).parent / "noria"), *words]
    kept = {"PATH": "/usr/bin:/bin", "HOME": str(home), "NORIA_HOME": str(home), "COLUMNS": "100", **environment}
    return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", [*VERBS, "releases verify", "schedule add"])
def test_each_verb_has_help_with_an_example_and_the_exit_codes(tmp_path, verb):
    found = noria(*verb.split(), "--help", home=tmp_path)
    assert found.returncode == 0
    assert f"Example: noria {verb}" in found.stdout
    assert "Exit codes: 0 " in found.stdout
    assert "--json" in found.stdout


def test_help_lists_every_verb_and_the_exit_codes_and_cuts_no_sentence_off(tmp_path):
    found = noria("--help", home=tmp_path)
    for verb in VERBS:
        assert f"  {verb}" in found.stdout
    assert "3 refused by a gate" in " ".join(found.stdout.split())
    assert "Example: noria" in found.stdout
    assert "..." not in found.stdout.partition("Commands:")[2]


WRONG_WORDS = [
    (("status", "--task", "nothing"), "no task 'nothing': found"),
    (("serve", "--task", "nothing"), "no task 'nothing': found"),
    (("run", "--param", "colour=red"), "no parameter 'colour'"),
    (("run", "--param", "seed"), "is no KEY=VALUE"),
    (("plan", "--env", "stage"), "no environment 'stage': there are dev, prod, qa"),
    (("which", "--at", "yesterday"), "is no instant"),
    (("predict",), "give one of --image FILE and --row N"),
    (("datasets", "abc"), "0 datasets begin with 'abc'"),
    (("datasets", "--fetch", "nothing"), "no task 'nothing': found"),
    (("rollback",), "Missing option '--reason'"),
    (("status", "--colour"), "No such option: --colour"),
    (("serve", "--http-port", "99999"), "Invalid value for '--http-port': Input should be less than or equal to 65535"),
    (("serve", "--http-port", "-1"), "Invalid value for '--http-port'"),
    (("serve", "--", "--http-port", "1"), "found --http-port after --: expected --http-port before it"),
    (("serve", "--", "--follow=flights"), "found --follow after --: expected --task before it"),
    (("serve", "--", "--hos", "::1"), "found --hos after --: expected --host before it"),
]


@pytest.mark.parametrize(("words", "message"), WRONG_WORDS)
def test_a_wrong_word_ends_with_code_2_and_a_program_gets_one_object(tmp_path, words, message):
    found = noria(*words, "--json", home=tmp_path)
    assert found.returncode == 2, found.stderr
    assert message in found.stderr
    assert "Traceback" not in found.stderr
    told = json.loads(found.stdout)
    assert message in told.pop("error")
    assert told == {"kind": "UsageError", "exit_code": 2}


@pytest.mark.parametrize("words", [("status", "--task", "nothing"), ("rollback",)])
def test_people_read_what_is_wrong_on_standard_error_alone(tmp_path, words):
    found = noria(*words, home=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr


@pytest.mark.parametrize(("words", "kind"), [(("serve", "--json"), "NoriaError"), (("run", "--json"), "SourceError")])
def test_a_fault_is_one_object_too(tmp_path, words, kind):
    found = noria(*words, home=tmp_path, NORIA_SOURCE_FASHION=str(tmp_path / "empty"))
    told = json.loads(found.stdout)
    assert (told["kind"], told["exit_code"], found.returncode) == (kind, 1, 1)


def fetch(tmp_path, *words, source):
    return noria("datasets", "--fetch", "fashion", *words, home=tmp_path, NORIA_SOURCE_FASHION=str(source))


def test_fetching_says_where_the_source_lies_and_what_it_holds(tmp_path):
    told = json.loads(fetch(tmp_path, "--json", source=PICTURES).stdout)
    digest = told.pop("fingerprint")
    size = sum(path.stat().st_size for path in PICTURES.iterdir())
    assert told == {"task": "fashion", "source": str(PICTURES), "fetched": False, "files": 4, "bytes": size}
    found = fetch(tmp_path, source=PICTURES)
    assert found.stdout == (
        f"The source of fashion lies in {PICTURES}: 4 files, {size:,} bytes, which fashion can read "
        f"(fingerprint {digest[:12]})\n"
    )


def swap(folder):
    folder.mkdir()
    names = sorted(path.name for path in PICTURES.iterdir())
    for name, other in zip(names, reversed(names), strict=True):
        (folder / name).symlink_to(PICTURES / other)


def alter(folder):
    """The real files, but for one bit of the first picture."""
    folder.mkdir()
    for path in PICTURES.iterdir():
        if path.name != "train-images-idx3-ubyte.gz":
            (folder / path.name).symlink_to(path)
    pixels = bytearray(gzip.decompress((PICTURES / "train-images-idx3-ubyte.gz").read_bytes()))
    pixels[20] ^= 1
    (folder / "train-images-idx3-ubyte").write_bytes(pixels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "where nothing is: expected the folder of the task's source data"),
        (lambda folder: folder.mkdir(), "lacks the idx files of train, t10k"),
        (swap, "images and labels may be swapped"),
        (alter, "expected c59f468a2f67"),
        (lambda folder: folder.write_text("pictures"), "lacks the idx files"),
    ],
    ids=["nothing", "empty", "swapped", "altered", "a file"],
)
def test_a_source_that_the_environment_names_is_looked_into_before_it_is_believed(tmp_path, make, message):
    folder = tmp_path / "pictures"
    make(folder)
    found = fetch(tmp_path, "--json", source=folder)
    told = json.loads(found.stdout)
    assert (found.returncode, told["kind"]) == (1, "SourceError"), found.stderr
    assert told["error"].startswith(f"NORIA_SOURCE_FASHION leads to {folder}, ")
    assert message in told["error"]


def test_the_version_is_told_in_one_line(tmp_path):
    found = noria("--version", home=tmp_path, folder=tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (0, f"noria {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (("statsu",), "Did you mean 'status'?"),
        (("--verson",), "Possible options: --version"),
        (("run", "--tsk", "fashion"), "Possible options: --task"),
        (("run", "--task", "fashon"), "; did you mean 'fashion'?"),
        (("datasets", "--fetch", "fashon"), "; did you mean 'fashion'?"),
        (("serve", "--task", "fashon"), "; did you mean 'fashion'?"),
        (("releases", "--task", "fashon"), "; did you mean 'fashion'?"),
        (("plan", "--env", "prd"), "; did you mean 'prod'?"),
        (("plan", "--param", "sed=2"), "; did you mean 'seed'?"),
        (("plan", "--param", "holdout-days=2"), "; did you mean 'holdout_days'?"),
        (("plan", "--param", "limits.ecee=2"), "; did you mean 'ece'?"),
        (("plan", "--param", "limit.ece=2"), "; did you mean 'limits.ece'?"),
        (("plan", "--param", "min_rows=2"), "; did you mean 'rules.min_rows'?"),
    ],
)
def test_a_word_that_is_nearly_right_is_asked_back(tmp_path, words, question):
    found = noria(*words, home=tmp_path)
    assert found.returncode == 2
    assert question in found.stderr


def test_a_plan_for_more_days_than_its_window_has_is_refused(tmp_path):
    found = noria("plan", "--param", "holdout_days=64", home=tmp_path)
    assert found.returncode == 2
    assert "expected fewer together than the 70 days of the window, 2017-09-01 to 2017-11-10" in found.stderr
    assert noria("plan", "--param", "holdout_days=63", home=tmp_path).returncode == 0


def test_a_setting_that_nobody_knows_is_named(tmp_path):
    found = noria("status", home=tmp_path, NORIA_OBJECT="x")
    assert found.returncode == 2
    assert "unknown settings NORIA_OBJECT" in found.stderr


@pytest.mark.parametrize(
    "words",
    [("plan",), ("run",), ("serve",), ("predict", "--row", "1"), ("status",), ("releases",), ("releases", "verify"),
     ("rollback", "--reason", "none"), ("which",), ("datasets",), ("datasets", "--fetch", "fashion")],
)  # fmt: skip
def test_outside_of_a_project_each_verb_says_where_to_go(tmp_path, words):
    found = noria(*words, home=tmp_path / "home", folder=tmp_path)
    assert found.returncode == 2
    assert "is in no Noria project" in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_outside_of_a_project_the_doctor_says_so_and_leaves_nothing(tmp_path):
    found = noria("doctor", "--json", home=tmp_path / "home", folder=tmp_path)
    assert found.returncode == 1
    assert [finding["what"] for finding in json.loads(found.stdout) if not finding["well"]] == ["project"]
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_is_yet_each_view_says_what_makes_it(tmp_path):
    for verb in ("status", "releases", "datasets"):
        found = noria(verb, home=tmp_path)
        assert found.returncode == 0
        assert "noria run" in found.stdout


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


def test_a_moment_ends_the_window_of_a_run_and_what_it_may_know(tmp_path):
    said = noria("plan", "--task", "flights", "--as-of", "2013-04-01", "--json", home=tmp_path)
    assert said.returncode == 0, said.stderr
    parameters = json.loads(said.stdout)["parameters"]
    assert (parameters["start"], parameters["end"], parameters["as_of"]) == ("2013-01-08", "2013-04-01", "2013-04-01")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from", "2013-03-01", "--to", "march", "--out", "x"), "end is 'march': expected a date"),
        (("--from", "2013-03-02", "--to", "2013-03-01", "--out", "x"), "is empty: its end must come after"),
        (("--as-of", "then", "--out", "x"), "--as-of is 'then': expected a date"),
        (("--out", "tests"), "tests is there already"),
    ],
)
def test_a_dataset_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path, words, message):
    said = noria("dataset", "--task", "flights", *words, home=tmp_path / "home")
    assert said.returncode == 2, said.stderr
    assert message in said.stderr
    assert not (tmp_path / "home").exists()


def test_a_dataset_is_written_and_looked_at(tmp_path):
    window = ("--from", "2017-09-01", "--to", "2017-09-02")
    written = noria("dataset", *window, "--out", str(tmp_path / "day"), "--json", home=tmp_path)
    assert written.returncode == 0, written.stderr
    seen = noria("explore", str(tmp_path / "day"), "--out", str(tmp_path / "day.html"), "--json", home=tmp_path)
    assert seen.returncode == 0, seen.stderr
    assert sum(json.loads(seen.stdout)["balance"]) == json.loads(written.stdout)["rows"] == 1000
    assert "1,000 rows" in (tmp_path / "day.html").read_text()
    again = noria("explore", str(tmp_path / "day"), "--out", str(tmp_path / "day.html"), home=tmp_path)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    nothing = noria("explore", str(tmp_path), "--out", str(tmp_path / "none.html"), home=tmp_path)
    assert nothing.returncode == 2
    assert "holds no dataset: expected a folder as `noria dataset --out` writes it" in nothing.stderr
    assert not (tmp_path / "none.html").exists()
