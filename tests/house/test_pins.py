"""Pins: of all that an image is made of, the base alone may move, and a digest holds that, too."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DECISION = ROOT / "docs" / "decisions" / "0014-images-hold-what-runs-and-nothing-else.md"
# Lines that go on are one.
LINES = re.sub(r"\\\n", " ", DOCKERFILE).splitlines()


def test_one_image_comes_from_outside_and_takes_a_digest():
    stages = {line.split()[-1] for line in LINES if line.startswith("FROM")}
    sources = {line.split()[1] for line in LINES if line.startswith("FROM")}
    assert sources - stages == {"${BASE}${BASE_DIGEST:+@${BASE_DIGEST}}", "scratch", "${ROLE}"}
    copied = set(re.findall(r"^COPY --from=(\S+)", DOCKERFILE, re.MULTILINE))
    assert copied <= stages


def test_the_bases_tag_names_python_and_debian_and_the_decision_says_why_it_names_no_patch():
    (tag,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.11(\.\d+)?-slim-bookworm", tag)
    assert f"`{tag}`, moves on with each patch" in DECISION.read_text()


def test_what_debian_gives_has_its_version():
    installs = [line for line in LINES if "apt-get install" in line]
    assert installs
    for line in installs:
        words = re.split(r"&&|\|\|", line.partition("apt-get install")[2])[0].split()
        packages = [word for word in words if not word.startswith("-")]
        assert packages
        assert all("=" in package for package in packages), packages


def test_what_pip_and_uv_install_is_held_by_a_file_in_which_each_package_has_its_version():
    scripts = [*LINES, *re.sub(r"\\\n", " ", (ROOT / "images" / "install-libraries.sh").read_text()).splitlines()]
    installs = [line for line in scripts if "pip install" in line]
    assert len(installs) == 4
    for line in installs:
        held = re.findall(r"requirements/dev\.txt|images/requirements\.txt|--no-deps /build/dist/\*\.whl", line)
        assert held, line
    for name in ("requirements/dev.txt", "images/requirements.txt"):
        named = [line for line in (ROOT / name).read_text().splitlines() if re.match(r"[A-Za-z0-9]", line)]
        assert all(re.match(r"\S+==\S+", line) for line in named)


def test_a_linter_that_is_told_to_be_quiet_is_told_why():
    lines = DOCKERFILE.splitlines()
    quiet = [place for place, line in enumerate(lines) if "hadolint ignore" in line]
    assert quiet
    assert all(lines[place - 1].startswith("# ") for place in quiet)
