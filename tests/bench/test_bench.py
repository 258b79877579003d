"""The bench room: its programs run, and its page says what they found. No test looks at a time."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.__main__ import read_arguments
from bench.figure import Figure, quantity
from bench.page import write_number, write_page
from bench.room import PROGRAMS, Conditions, Measurement, merge, read_results, write_results

ROOT = Path(__file__).parents[2]
CONDITIONS = Conditions(
    processor="a processor", cores=2, load_before=0.5, load_after=1.5, system="Linux", python="3.11", noria="0"
)


def known(program: str, **changes: object) -> Measurement:
    figure = Figure(id="X1", title="A figure", how="By hand.", rounds=3, quantities=(quantity("it", "s", [1, 2, 4]),))
    return Measurement(
        program=program, command="again", quick=False, conditions=CONDITIONS, figures=(replace(figure, **changes),)
    )


@pytest.fixture(scope="module")
def quick_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quick")
    command = [sys.executable, "-m", "bench", "--only", "steps,command", "--quick", "--to", str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_every_number_on_the_page_was_measured(quick_results: Path) -> None:
    measured = read_results(quick_results / "results.json")
    assert [figure.id for each in measured for figure in each.figures] == ["C1", "P1"]
    page = (quick_results / "RESULTS.md").read_text()
    for figure in (figure for each in measured for figure in each.figures):
        assert (quick_results / "plots" / f"{figure.id}.svg").is_file()
        for found in (*figure.ratios, *figure.quantities):
            assert 0 < found.minimum <= found.median <= found.maximum
            numbers = " | ".join(write_number(value) for value in (found.median, found.minimum, found.maximum))
            assert f"{found.name}" in page
            assert f"| {found.unit} | {numbers} |" in page
    assert re.findall(r"^## (\w+)", page, re.MULTILINE) == ["C1", "P1"]


def test_a_quick_run_judges_nothing_and_says_so(quick_results: Path) -> None:
    measured = read_results(quick_results / "results.json")
    assert {figure.met for each in measured for figure in each.figures} == {None}
    assert "Its figures mean nothing" in (quick_results / "RESULTS.md").read_text()


def test_the_results_name_no_path_of_this_machine(quick_results: Path) -> None:
    for file in (path for path in quick_results.rglob("*") if path.is_file()):
        assert not re.search(rf"{re.escape(str(ROOT))}|{re.escape(str(Path.home()))}/|/tmp/", file.read_text()), file


def test_a_peer_that_was_not_there_is_absent_and_not_zero(quick_results: Path) -> None:
    (command,) = (each for each in read_results(quick_results / "results.json") if each.program == "command")
    (figure,) = command.figures
    assert not [found for found in (*figure.ratios, *figure.quantities) if "feast" in found.name]
    assert figure.facts["feast --help"].startswith("not measured")


def test_a_second_measurement_takes_the_place_of_the_first_and_leaves_the_others(tmp_path: Path) -> None:
    kept = [known("steps"), known("training")]
    new = known("steps", title="Measured again")
    merged = merge(kept, new)
    assert merged == [new, kept[1]]
    write_results(tmp_path / "results.json", merged)
    assert read_results(tmp_path / "results.json") == merged


def test_quick_results_never_stand_beside_real_ones() -> None:
    assert merge([known("steps")], replace(known("training"), quick=True))[0].quick
    with pytest.raises(SystemExit):
        read_arguments(["--quick", "--to", str(ROOT / "bench")])


def test_a_goal_that_was_missed_is_shown_as_missed(tmp_path: Path) -> None:
    write_page(tmp_path, [known("steps", goal="less", met=False, mark=0.5)])
    assert "| less | it: 2.00 s | **not met** |" in (tmp_path / "RESULTS.md").read_text()
    assert "goal" in (tmp_path / "plots" / "X1.svg").read_text()


def test_a_plot_of_a_figure_that_is_gone_is_gone(tmp_path: Path) -> None:
    write_page(tmp_path, [known("steps", id="X2")])
    write_page(tmp_path, [known("steps")])
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["X1.svg"]


def test_a_program_that_nobody_knows_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments(["--only", "stairs"])
    assert ", ".join(PROGRAMS) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9312, "0.9312"), (1.0, "1.00"), (42.26, "42.3"), (99.97, "100"), (12345.6, "12,346"), (-0.0013, "-0.0013")],
)
def test_numbers_are_written_without_exponents(value: float, text: str) -> None:
    assert write_number(value) == text
