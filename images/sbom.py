"""SBOM: tell, from inside of an image, every package that it holds, as CycloneDX JSON.

Usage, as the Dockerfile's target `sbom` does it: `sbom.py FILE`; NAME and VERSION in the environment name the image.
The packages of Python are told by cyclonedx-bom, those of Debian by dpkg, and Python itself where it is none of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENVIRONMENT = "/opt/venv"
FIELDS = "${Package}\t${Version}\t${Architecture}\n"


def tell(name: str, version: str) -> dict[str, Any]:
    """The document about this file system; equal file systems, equal documents."""
    program = Path(sys.executable).with_name("cyclonedx-py")
    command = [program, "environment", "--output-reproducible", "--output-format", "JSON", f"{ENVIRONMENT}/bin/python"]
    document: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    component = {"type": "container", "name": name, "version": version, "bom-ref": f"{name}@{version}"}
    document["metadata"]["component"] = component
    document["components"] = sorted(
        [*document.get("components", []), *_of_debian(), *_python()], key=lambda each: str(each["bom-ref"])
    )
    return document


def _of_debian() -> Iterator[dict[str, Any]]:
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release.get("VERSION_CODENAME", "").strip('"')
    listed = subprocess.run(["dpkg-query", "-W", "-f", FIELDS], check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in listed.splitlines():
        package, version, architecture = line.split("\t")
        purl = f"pkg:deb/debian/{package}@{version.replace('+', '%2B')}?arch={architecture}&distro={codename}"
        yield {"type": "library", "name": package, "version": version, "purl": purl, "bom-ref": purl}


def _python() -> Iterator[dict[str, Any]]:
    """The interpreter, where it was built for the base image and Debian knows nothing of it."""
    home = Path(sys.base_prefix)
    if home != Path("/usr"):
        version = sys.version.split()[0]
        purl = f"pkg:generic/python@{version}"
        yield {"type": "application", "name": "python", "version": version, "purl": purl, "bom-ref": purl}


if __name__ == "__main__":
    told = tell(os.environ["NAME"], os.environ["VERSION"])
    Path(sys.argv[1]).write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
