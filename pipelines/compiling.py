"""Compiling: the one file that runs on a laptop and on a cluster, and the check that it is up to date."""

from __future__ import annotations

from pathlib import Path

COMPILED = Path(__file__).parent / "compiled" / "training.yaml"


def compile_training(path: Path = COMPILED) -> Path:
    """Write the compiled pipeline; equal sources give equal bytes."""
    from kfp import compiler

    from pipelines.training import training

    path.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(training, str(path))
    return path


if __name__ == "__main__":
    compile_training()
