"""Spaces: the namespaces of an environment; `python -m helm.spaces dev` prints that of serving and that of the runs."""

from __future__ import annotations

import sys

from helm.render import environments, merged_values
from noria.errors import NoriaError, UsageError


def main(arguments: list[str]) -> int:
    """Print them on one line, for a script; returns the exit code."""
    try:
        if len(arguments) != 1 or arguments[0] not in environments():
            raise UsageError(f"found {arguments}: expected one of {', '.join(environments())}")
        spaces = merged_values(arguments[0])["namespaces"]
    except NoriaError as error:
        sys.stderr.write(f"make undeploy: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{spaces['serving']} {spaces['pipelines']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
