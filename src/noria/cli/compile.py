"""Compile: the pipeline's sources into one file, the project's own or that of a cluster."""

from __future__ import annotations

import tempfile
from pathlib import Path

from noria.cli.kubeflow import choose
from noria.cli.output import console, print_json
from noria.cli.project import enter_project, started_in
from noria.errors import UsageError


def compile_pipeline(out: Path | None, *, image: str, gpus: int, nodes: list[str], as_json: bool) -> None:
    """Write the project's own compiled file, which is the same for everybody, or `out` with a cluster's choices."""
    place = started_in() / out if out else None
    enter_project()
    from pipelines.compiling import COMPILED, compile_training
    from pipelines.overlay import lay_over

    if place is None:
        if image or gpus or nodes:
            raise UsageError(f"{COMPILED.name} is the same for everybody: name a file of its own for this with --out")
        compile_training(COMPILED)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compiled = compile_training(Path(folder) / COMPILED.name)
            place.write_text(lay_over(compiled, choose(image=image, gpus=gpus, nodes=nodes)))
    if as_json:
        print_json({"file": str(place or COMPILED)})
    else:
        console().print(f"compiled into {place or COMPILED}", soft_wrap=True, markup=False)
