"""The predictor's command: `python -m serving --bundle DIR` or `--follow TASK`.

It prints one line of JSON on standard output when it is ready; its log goes to standard error. Exit code 0 after
SIGTERM or SIGINT, 1 if it cannot start, 2 for a wrong command line.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from noria.errors import NoriaError
from noria.settings import Settings
from serving.app import App
from serving.follow import Follower
from serving.metrics import make_metrics
from serving.options import Options, parse_options
from serving.server import bind, run_server
from serving.slot import Slot
from serving.source import LedgerSource, load_folder


def main(arguments: Sequence[str]) -> int:
    """Serve until told to stop; returns the exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # uvicorn's messages about its own start and end say nothing that ours do not.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    options = parse_options(arguments)
    # Not asyncio.run: it would wait for threads, and one that hangs in a model or a store must not keep us alive.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(serve(options, Settings.from_environment()))
    except NoriaError as error:
        sys.stderr.write(f"serving: {error}\n")
        return error.exit_code
    return 0


async def serve(options: Options, settings: Settings) -> None:
    """Load the first model, then answer; NoriaError if there is nothing to serve or nowhere to listen."""
    listener = bind(options.host, options.port)
    metrics = make_metrics()
    if options.follow:
        source = LedgerSource(options, settings)
        slot = Slot(source.load_first(), options.limits, metrics)
        follower = Follower(slot, source.champion, source.load, metrics)
        watch = asyncio.create_task(follower.run(options.poll_seconds))
        await run_server(App(slot, options.limits, metrics), slot, options, listener)
        watch.cancel()
    else:
        slot = Slot(load_folder(options, settings), options.limits, metrics)
        await run_server(App(slot, options.limits, metrics), slot, options, listener)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
