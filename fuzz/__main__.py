"""`python -m fuzz`: run the fuzzer for some time; an input that breaks a parser is kept, and the exit code is not 0."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Fuzz until the time is over or a parser breaks."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the predictor's parsers.")
    parser.add_argument("--seconds", type=int, default=600, help="how long (default: 600)")
    parser.add_argument("--folder", type=Path, help="keep the inputs here, and start from them (default: nowhere)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; 0 takes another each time")
    parser.add_argument("--replay", type=Path, help="try this one input, and nothing else")
    given = parser.parse_args()
    if given.replay:
        from fuzz.protocol_target import check

        check(given.replay.read_bytes())
        return 0
    folder = given.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    # The fuzzer ends its process in its own way, so it gets one of its own.
    command = [sys.executable, "-m", "fuzz.running", str(folder), str(given.seconds), str(given.seed)]
    code = subprocess.run(command, check=False).returncode
    if code:
        found = sorted(map(str, (folder / "found").glob("*")))
        sys.stderr.write(f"a parser broke on {', '.join(found) or 'its start'}: python -m fuzz --replay FILE\n")
    elif not given.folder:
        shutil.rmtree(folder)
    return code


if __name__ == "__main__":
    sys.exit(main())
