"""The predictor's command: `python -m serving --bundle DIR` or `--follow TASK`.

It prints one line of JSON on standard output when it is ready; its log goes to standard error. Exit code 0 after
SIGTERM or SIGINT, 1 if it cannot start, 2 for a wrong command line.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from noria.errors import NoriaError
from noria.settings import Settings
from serving.logs import set_up_logs
from serving.options import parse_options
from serving.server import serve

SWITCH_SECONDS = 0.0005


def main(arguments: Sequence[str]) -> int:
    """Serve until told to stop; returns the exit code."""
    set_up_logs()
    # The model's thread asks the loop's for the interpreter twice a batch; under load it would wait 5 ms each time.
    sys.setswitchinterval(SWITCH_SECONDS)
    options = parse_options(arguments)
    # Not asyncio.run: it would wait for threads, and one that hangs in a model or a store must not keep us alive.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(serve(options, Settings.from_environment()))
    except NoriaError as error:
        sys.stderr.write(f"serving: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
