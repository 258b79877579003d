"""Options: what several verbs have in common."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

EXIT_CODES = "Exit codes: 0 done; 1 fault; 2 usage; 130 interrupted."
RUN_CODES = "Exit codes: 0 promoted or unchanged; 1 fault; 2 usage; 3 refused by a gate or a person; 130 interrupted."
SERVE_CODES = "Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 fault; 2 usage."
FOUND_CODES = "Exit codes: 0 all is well; 1 something is wrong, or a fault; 2 usage; 130 interrupted."

TaskOption = Annotated[str, typer.Option("--task", metavar="NAME", help="The task's name.")]
EnvOption = Annotated[str, typer.Option("--env", metavar="NAME", help="The environment: dev, qa or prod.")]
ParamOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--param", metavar="KEY=VALUE", help="A parameter's value; may be given again."),
]
AsOfOption = Annotated[
    str, typer.Option("--as-of", metavar="INSTANT", help="Train on what was known then; it ends the window, too.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else, also where it fails.")]
FASHION = "fashion"
