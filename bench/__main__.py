"""Bench: measure, and write results.json, RESULTS.md and its plots; `python -m bench --only steps,command --quick`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.page import write_page
from bench.room import PROGRAMS, merge, read_results, run_program, write_results

HERE = Path(__file__).parent
QUICK = Path(".bench/quick")  # beside the peers, out of the way of results that mean something


def read_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what the documents claim.")
    parser.add_argument("--only", default=",".join(PROGRAMS), help="some of %(default)s; the others' results are kept")
    parser.add_argument("--quick", action="store_true", help="few rounds and rows: shows that the programs work")
    parser.add_argument("--to", type=Path, help=f"folder of the results (bench, or {QUICK} for quick ones)")
    arguments = parser.parse_args(words)
    arguments.only = arguments.only.split(",")
    if strange := sorted(set(arguments.only) - set(PROGRAMS)):
        parser.error(f"no program {', '.join(strange)}: there are {', '.join(PROGRAMS)}")
    if arguments.quick and arguments.to and arguments.to.resolve() == HERE.resolve():
        parser.error("quick results would take the place of those that mean something: give another folder")
    arguments.to = arguments.to or (QUICK if arguments.quick else HERE)
    return arguments


def main(words: list[str]) -> None:
    """Measure, and write after each program, so that a fault in a later one costs nothing."""
    arguments = read_arguments(words)
    results = arguments.to / "results.json"
    for name in (name for name in PROGRAMS if name in arguments.only):
        print(f"bench: {name}", file=sys.stderr, flush=True)
        measurements = merge(read_results(results), run_program(name, quick=arguments.quick))
        write_results(results, measurements)
        write_page(arguments.to, measurements)
    print(f"bench: {arguments.to / 'RESULTS.md'}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
