"""Page: write RESULTS.md and its plots from what was measured, and from nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.figure import Figure, Quantity
from bench.plot import draw_figure
from bench.room import Measurement

HEAD = """# Results

Written by `python -m bench` from [results.json](results.json); `make bench` measures all of it again. Ratios are
between programs that ran in turn on one machine, and are what to look at; absolute times are for orientation. What
stands here was measured; what was not measured is not here.
"""
QUICK = "\n**A quick run: it shows that the programs work. Its figures mean nothing.**\n"
VERDICT = {True: "met", False: "**not met**", None: "not judged"}


def write_page(folder: Path, measurements: Sequence[Measurement]) -> None:
    """Write the page and one plot for each figure; plots of figures that are gone go too."""
    plots = folder / "plots"
    shutil.rmtree(plots, ignore_errors=True)
    plots.mkdir(parents=True)
    parts = [HEAD, QUICK if any(each.quick for each in measurements) else "", *_overview(measurements)]
    for measurement in measurements:
        for figure in measurement.figures:
            (plots / f"{figure.id}.svg").write_text(draw_figure(figure) + "\n")
            parts += _section(figure, measurement)
    (folder / "RESULTS.md").write_text("".join(parts))


def write_number(value: float) -> str:
    """Three significant digits and no exponent; whole numbers from a hundred on."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".") if abs(value) >= 1 else f"{value:.4f}"


def _overview(measurements: Sequence[Measurement]) -> Iterator[str]:
    yield "\n| | figure | goal | median | goal met |\n|---|---|---|---:|---|\n"
    for measurement in measurements:
        for figure in measurement.figures:
            first = (figure.ratios or figure.quantities)[0]
            goal, met = (figure.goal, VERDICT[figure.met]) if figure.goal else ("none set", "")
            yield f"| {figure.id} | {figure.title} | {goal} | {first.name}: {_with_unit(first)} | {met} |\n"


def _with_unit(found: Quantity) -> str:
    return f"{write_number(found.median)} {found.unit}"


def _section(figure: Figure, measurement: Measurement) -> Iterator[str]:
    yield f"\n## {figure.id} {figure.title}\n\n"
    if figure.goal:
        yield f"Goal: {figure.goal} ({VERDICT[figure.met]}).\n\n"
    yield "| | unit | median | minimum | maximum |\n|---|---|---:|---:|---:|\n"
    for found in (*figure.ratios, *figure.quantities):
        name = f"**{found.name}**" if found in figure.ratios else found.name
        numbers = " | ".join(write_number(value) for value in (found.median, found.minimum, found.maximum))
        yield f"| {name} | {found.unit} | {numbers} |\n"
    yield f"\n![{figure.title}](plots/{figure.id}.svg)\n\n"
    yield from (f"- {name}: {text}\n" for name, text in figure.facts.items())
    there = measurement.conditions
    versions = {"Python": there.python, "noria": there.noria, **figure.versions}
    yield f"- How: {figure.how}\n- Rounds: {figure.rounds}\n"
    yield f"- Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}\n"
    yield (
        f"- Machine: {there.processor}, {there.cores} cores, {there.system}; "
        f"load average {there.load_before} before and {there.load_after} after\n"
    )
    yield f"- Again: `{measurement.command}`\n"
