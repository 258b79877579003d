"""Running: the process that atheris fuzzes in, as `python -m fuzz.running FOLDER SECONDS SEED`."""

from __future__ import annotations

import sys
from pathlib import Path


def main(folder: Path, seconds: int, seed: int) -> None:
    """Fuzz; atheris ends the process, with 0 if nothing broke in the time."""
    import atheris

    # Only what is imported in this block guides the fuzzer; numpy and msgspec are compiled anyway.
    with atheris.instrument_imports(include=["serving", "fuzz.protocol_target"]):
        from fuzz.protocol_target import check
    from fuzz.seeds import write_seeds

    inputs, found = folder / "inputs", folder / "found"
    write_seeds(inputs)
    found.mkdir(exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-dict={folder / 'words.txt'}",
        f"-artifact_prefix={found}/",
        "-max_len=4096",
        "-rss_limit_mb=1024",  # growth of memory is a fault too
        "-timeout=5",
        "-print_final_stats=1",
        *([f"-seed={seed}"] if seed else []),
    ]
    atheris.Setup([sys.argv[0], *options, str(inputs)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
