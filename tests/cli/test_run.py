"""Run, and what looks at it, from a folder below the project's root: outcomes stand, failures are told whole."""

import json
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from noria_command import ROOT, Done, Noria

pytestmark = pytest.mark.xdist_group("outsider")

TASK = ("--task", "wine")
# Run by every Python that starts with this on its path: the predictor ends before it can be asked anything.
NO_PREDICTOR = "import os, sys\nif sys.orig_argv[1:3] == ['-m', 'serving']:\n    os._exit(7)\n"


@dataclass(frozen=True, kw_only=True)
class Story:
    """A promotion, the same run and a refused one while no predictor starts, and a run whose step raises."""

    noria: Noria
    mute: Noria
    promoted: Done
    unchanged: Done
    refused: Done
    failed: Done


@pytest.fixture(scope="module")
def story(wine_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    project, broken = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("broken")
    (project / "pyproject.toml").write_text("[tool.noria]\n")
    for room in ("pipelines", "components", "serving", "cluster"):
        (project / room).symlink_to(ROOT / room)
    below = project / "notebooks" / "old"
    below.mkdir(parents=True)
    (broken / "sitecustomize.py").write_text(NO_PREDICTOR)
    noria = Noria(home=None, site=wine_site, folder=below)
    mute = noria.with_settings(PYTHONPATH=f"{broken}:{wine_site}")
    return Story(
        noria=noria,
        mute=mute,
        promoted=noria.run(),
        unchanged=mute.run(),
        refused=mute.run("--param", "limits.ece=0.0"),
        failed=noria.run("--param", "rules.min_rows=100000"),
    )


def test_everything_lies_at_the_root_of_the_project_and_each_verb_finds_it_there(story: Story) -> None:
    noria, told = story.noria, story.promoted.told
    assert told["outcome"] == "promoted", story.promoted.err
    assert Path(told["report"]).is_relative_to(noria.folder.parents[1] / ".noria")
    assert noria("status", *TASK, "--json").told["champion"]["digest"] == told["bundle"]
    assert noria("releases", *TASK, "--json").told[1]["bundle"] == told["bundle"]
    assert noria("releases", "verify", *TASK).out.startswith("✓ 3 entries of wine")
    assert noria("which", *TASK, "--json").told["entry"]["bundle"] == told["bundle"]
    assert noria("datasets", "--json").told[0]["digest"] == told["dataset"]
    assert noria("plan", *TASK, "--json").told["parameters"]["champion"] == told["bundle"]
    assert noria("predict", *TASK, "--row", "3", "--json").told["bundle"] == told["bundle"]
    assert {found["what"]: found["found"] for found in noria("doctor", "--json").told}["ledger of wine"][0] == "3"
    rollback = noria("rollback", *TASK, "--reason", "none", "--json")
    assert (rollback.code, rollback.told["kind"]) == (1, "LedgerError")
    assert list(noria.folder.iterdir()) == []


def test_a_report_is_shown_by_a_path_that_leads_there_from_here(story: Story) -> None:
    done = story.noria("datasets", story.promoted.told["dataset"][:12])
    shown = re.search(r"^Report +(\S+)$", done.out, re.MULTILINE)
    assert shown, done.out + done.err
    assert (story.noria.folder / shown[1]).is_file()


def test_a_closing_question_that_fails_changes_neither_outcome_nor_exit_code(story: Story) -> None:
    for done, code, outcome in ((story.unchanged, 0, "unchanged"), (story.refused, 3, "refused")):
        assert (done.code, done.told["outcome"], done.told["prediction"]) == (code, outcome, None), done.err
        assert "before it was ready" in done.told["prediction_error"]
        assert done.told["bundle"] == story.promoted.told["bundle"]
    assert story.promoted.told["prediction_error"] == ""


def test_people_are_told_the_failed_question_too(story: Story) -> None:
    done = story.mute("run", *TASK, "--param", "threads=1")
    assert (done.code, "nothing changed" in done.out) == (0, True), done.err
    assert re.search(r"^  Answer   none: the predictor ended", done.out, re.MULTILINE), done.out


def test_a_run_whose_step_raises_is_told_as_one_object(story: Story) -> None:
    told = story.failed.told
    assert story.failed.code == told["exit_code"] == 3
    assert (told["outcome"], told["step"], told["kind"]) == ("refused", "validate", "ValidationError")
    assert "6000 rows" in told["error"].replace(",", "")
    log = Path(told["log"])
    assert told["error"].removeprefix("validate: ") in log.read_text().replace('\\"', '"')
    records = {run["log"]: run for run in story.noria("status", *TASK, "--json").told["runs"]}
    record = records[told["log"]]
    assert (record["outcome"], record["reason"]) == ("refused", told["error"])
    assert set(record["steps"]) == {"settle", "ingest", "features"}


def test_serve_tells_people_in_words(story: Story) -> None:
    server = story.noria.start("serve", *TASK, "--http-port", "0")
    try:
        line, hint = server.stdout.readline(), server.stdout.readline()
    finally:
        server.send_signal(signal.SIGINT)
        rest, errors = server.communicate(timeout=30)
    words = r"Serving wine on http://127\.0\.0\.1:\d{2,5}: [0-9a-f]{12}, and each champion after it$"
    assert re.match(words, line), errors
    assert hint == "Ctrl-C ends it; the log follows\n"
    assert (server.returncode, rest) == (0, "")


def test_serve_hands_on_what_follows_two_dashes_and_of_an_option_given_twice_the_last_one_stands(story: Story) -> None:
    words = ("--", "--grpc-port", "0", "--threads", "2", "--name", "bottles", "--online", "other.db")
    server = story.noria.start("serve", *TASK, "--http-port", "0", "--json", *words)
    try:
        told = json.loads(server.stdout.readline())
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=30)
    assert (told["model"], told["grpc_port"] > 0, server.returncode) == ("bottles", True, 0), errors


def test_a_wrong_option_for_the_predictor_is_a_usage_error_in_its_words(story: Story) -> None:
    for words, said in (
        (("--grpcport", "1"), "unrecognized arguments: --grpcport 1"),
        (("--grpc-port", "99999"), "argument --grpc-port: found '99999': expected a port, 0 to 65535"),
        (("--bundle", "DIR"), "argument --bundle: not allowed with argument --follow"),
    ):
        done = story.noria("serve", *TASK, "--json", "--", *words)
        assert (done.code, done.told["kind"]) == (2, "UsageError"), done.err
        assert done.told["error"].startswith(f"the predictor refuses its options: {said}")
        assert "Traceback" not in done.err
    shown = story.noria("serve", *TASK, "--", "--help")
    assert (shown.code, "--grpc-port N" in shown.out, shown.out.rstrip().endswith("--http-port 8080")) == (
        0,
        True,
        True,
    )


def test_what_comes_next_is_typed_as_it_stands(story: Story) -> None:
    done = story.mute("run", *TASK, "--param", "threads=1", "--param", "seed=1")
    typed = re.findall(r"^  (\S*noria .*?)  ", done.out.partition("\nNext\n")[2], re.MULTILINE)
    assert typed[-1].endswith("run --task wine --env dev --param threads=1 --param seed=2"), done.out
    shell, place = ["bash", "-c", f"{typed[1]} --json"], {"cwd": story.noria.folder, "env": story.noria.environment}
    found = subprocess.run(shell, capture_output=True, check=True, **place)
    assert json.loads(found.stdout)["champion"]["digest"] == story.promoted.told["bundle"], found.stderr


def test_serve_that_cannot_start_says_so_as_one_object(story: Story) -> None:
    server = story.noria.start("serve", *TASK, "--http-port", "0", "--json")
    try:
        port = str(json.loads(server.stdout.readline())["port"])
        done = story.noria("serve", *TASK, "--http-port", port, "--json")
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert (done.code, done.told["kind"]) == (1, "ServingError")
    assert f"cannot listen on 127.0.0.1:{port} ([Errno 98] Address already in use): " in done.told["error"]
    assert "choose another --http-port, 0 takes any free one" in done.told["error"]
    assert f"serving: cannot listen on 127.0.0.1:{port}" in done.err, "what the predictor writes is passed on"
