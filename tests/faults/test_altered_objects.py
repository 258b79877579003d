"""What was published and then altered is refused by everyone who would use it, and found by who looks for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from noria_command import ROOT, Noria

from noria.errors import BundleError
from noria.steps.deploy import deploy
from noria.steps.workspace import Settings, Workspace

FILES = ("bundle.json", "manifest.json", "model.onnx", "profile.json", "signature.json")
pytestmark = pytest.mark.xdist_group("altered objects")  # all begin with the same run


@pytest.fixture(scope="module")
def after_a_run(wine_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Noria:
    noria = Noria(home=tmp_path_factory.mktemp("run") / "home", site=wine_site)
    done = noria.run()
    assert done.code == 0, done.err
    return noria


@pytest.fixture
def noria(after_a_run: Noria, tmp_path: Path) -> Noria:
    """The state after a run, to be spoilt at will."""
    shutil.copytree(after_a_run.home, tmp_path / "home")
    return Noria(home=tmp_path / "home", site=after_a_run.site)


def workspace_of(noria: Noria) -> Workspace:
    return Workspace(settings=Settings.from_environment({"NORIA_HOME": str(noria.home)}))


def bundle_of(noria: Noria) -> Path:
    (folder,) = (noria.home / "objects" / "bundles").iterdir()
    return folder


def flip(path: Path, at: int) -> bytes:
    """Change one bit of the file; returns what it held."""
    data = path.read_bytes()
    changed = bytearray(data)
    changed[at] ^= 1
    path.write_bytes(changed)
    return data


NOTHING: dict[str, Any] = {"uri": "", "validation_days": 1, "holdout_days": 1, "plan": "", "basis": "", "code": ""}


def test_a_bundle_with_any_byte_changed_is_not_opened_and_not_deployed(noria: Noria) -> None:
    workspace, folder = workspace_of(noria), bundle_of(noria)
    for name in FILES:
        size = (folder / name).stat().st_size
        for at in (0, size // 3, size // 2, size - 1):
            data = flip(folder / name, at)
            with pytest.raises(BundleError):
                workspace.fetch_bundle(folder.name)
            with pytest.raises(BundleError):
                deploy(workspace, bundle=str(folder), decision="", **NOTHING, progress=lambda *_: None)
            (folder / name).write_bytes(data)
    assert workspace.fetch_bundle(folder.name).digest == folder.name
    assert len(workspace.ledger("wine").entries()) == 2


@pytest.mark.parametrize("name", ["model.onnx", "signature.json"])
def test_a_changed_bundle_is_neither_asked_nor_served(noria: Noria, name: str) -> None:
    folder = bundle_of(noria)
    flip(folder / name, (folder / name).stat().st_size // 2)
    asked = noria("predict", "--task", "wine", "--row", "0", "--json")
    assert (asked.code, asked.told["kind"]) == (1, "BundleError")
    served = subprocess.run(
        [sys.executable, "-m", "serving", "--bundle", folder, "--name", "wine", "--http-port", "0"],
        cwd=ROOT, env=noria.environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (served.returncode, served.stdout) == (1, "")
    for said in (asked.err, served.stderr):
        assert folder.name[:12] in said
        assert "Traceback" not in said


def test_an_edited_ledger_stops_every_command_and_verify_names_the_entry(noria: Noria) -> None:
    entry = noria.home / "objects" / "releases" / "wine" / "00000001.json"
    entry.write_bytes(entry.read_bytes().replace(b"passed all 13 gates", b"passed all 14 gates"))
    for words in (("status",), ("run",), ("which",), ("rollback", "--reason", "no"), ("predict", "--row", "0")):
        done = noria(*words, "--task", "wine", "--json")
        assert (done.code, done.told["kind"]) == (1, "LedgerError"), words
        assert "releases/wine/00000001.json" in done.err, done.err
        assert "`noria releases verify" in done.err, done.err
    verified = noria("releases", "verify", "--task", "wine", "--json")
    assert verified.code == 1
    assert verified.told["problems"][0]["entry"] == "releases/wine/00000001.json"


def test_a_ledger_whose_end_was_cut_off_is_noticed(noria: Noria) -> None:
    assert noria("status", "--task", "wine", "--json").code == 0
    (noria.home / "objects" / "releases" / "wine" / "00000002.json").unlink()
    assert noria("status", "--task", "wine").code == 1
    verified = noria("releases", "verify", "--task", "wine", "--json")
    assert (verified.code, verified.told["problems"][0]["kind"]) == (1, "truncated")
