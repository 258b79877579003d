"""`make connect`: a shell that takes its settings over works on the cluster, and what it holds is nobody else's."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from rendered import ROOT, settings

from helm import forwarding
from helm.cluster_settings import Found, folder_of, write
from helm.forwarding import Service, forwarded
from noria.errors import ClusterError, UsageError
from noria.ml.signature import Signer, TrustedKeys, make_key
from noria.settings import Settings

# It answers from a file, and leads a port of this machine to a server that says which Service it would be.
KUBECTL = """#!{python}
import http.server, json, os, sys
words = [word for word in sys.argv[1:] if not word.startswith("--context=")]
world = json.load(open({world!r}))
option = lambda name: next((word.partition("=")[2] for word in words if word.startswith(name)), "")
with open({notes!r}, "a") as notes:
    notes.write(" ".join(sys.argv[1:]) + "\\n")
if words[:2] == ["config", "current-context"]:
    print("team/play")
elif words[:2] == ["config", "view"]:
    print("https://there:6443")
elif words[:2] == ["get", "--raw"]:
    print("{{}}")
elif words[0] == "get":
    found = world.get("/".join((option("--namespace"), *words[1:3])))
    print(json.dumps(found) if found else "")
elif words[0] == "port-forward":
    class Told(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/lose":
                os._exit(1)
            self.send_response(200)
            self.end_headers()
            self.wfile.write((words[-2] + self.path).encode())
        def log_message(self, *words):
            pass
    if os.path.exists({broken!r}):
        sys.exit("lost connection to pod")
    server = http.server.HTTPServer(("127.0.0.1", int(words[-1].partition(":")[0])), Told)
    print("Forwarding from 127.0.0.1:%d -> 80" % server.server_port, flush=True)
    server.serve_forever()
"""


class Play:
    """A cluster as `make deploy` leaves it, played; `home` is Noria's on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.notes, self.broken = folder / "notes", folder / "broken"
        self.notes.touch()
        self.key = make_key(folder / "theirs").public_pem
        signing = (folder / "theirs" / "signing.pem").read_bytes()
        keys = {"AWS_ACCESS_KEY_ID": b"someone", "AWS_SECRET_ACCESS_KEY": b"very-secret"}
        trusted = {path.name: path.read_text() for path in (folder / "theirs" / "trusted").iterdir()}
        self.objects: dict[str, Any] = {
            "kubeflow/ConfigMap/noria-settings": {"data": dict(settings("dev", "kubeflow"))},
            "kubeflow/ConfigMap/noria-trusted-keys": {"data": trusted},
            "kubeflow/Secret/noria-s3": {"data": {name: b64encode(text).decode() for name, text in keys.items()}},
            "kubeflow/Secret/noria-signing": {"data": {"signing.pem": b64encode(signing).decode()}},
            "kubeflow/Service/ml-pipeline-ui": {"kind": "Service"},
            "noria/Service/noria-seaweedfs": {"kind": "Service"},
            "noria/Namespace/noria": {"metadata": {"uid": "0123456789abcdef"}},
        }
        program = KUBECTL.format(
            python=sys.executable, world=str(folder / "world.json"), notes=str(self.notes), broken=str(self.broken)
        )
        (folder / "kubectl").write_text(program)
        (folder / "kubectl").chmod(0o755)

    @property
    def files(self) -> Path:
        return self.home / "clusters" / "team-play"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("NORIA_", "KUBE", "SIGN"))}
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return {**kept, "PATH": path, "NORIA_HOME": str(self.home), "PYTHONPATH": str(ROOT), **more}

    @contextmanager
    def connected(self, *, sign: bool = False, **more: str) -> Iterator[str]:
        """`make connect`, until the block ends; what it said by then."""
        (self.folder / "world.json").write_text(json.dumps(self.objects))
        process = subprocess.Popen(
            [sys.executable, "-m", "helm.connect", "dev"], cwd=ROOT, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=self.environment(SIGN="1" if sign else "", **more),
        )  # fmt: skip
        assert process.stdout is not None
        said = ""
        try:
            for line in process.stdout:
                said += line
                if "Ctrl-C" in line:
                    break
            yield said
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(timeout=30) in (0, 1, 2)
            process.stdout.close()

    def source(self) -> dict[str, str]:
        """The environment of a shell that took the settings over."""
        done = subprocess.run(
            ["bash", "-ec", f"source {self.files}/settings; env -0"], env=self.environment(), capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


def test_a_shell_that_takes_the_settings_over_finds_all_of_the_cluster(play):
    with play.connected() as said:
        assert f"source {play.files}/settings" in said
        there = Settings.from_environment(play.source())
        assert read(f"{there.kfp.host}/x") == "service/ml-pipeline-ui/x"
        assert read(f"{there.access.endpoint}/x") == "service/noria-seaweedfs/x"
    data = settings("dev", "kubeflow")
    assert (there.objects, there.access.region) == (data["NORIA_OBJECTS"], data["NORIA_OBJECTS_REGION"])
    assert (there.serving.way, there.serving.namespace) == ("kserve", "noria-serving")
    assert there.serving.overlay == data["NORIA_SERVING_OBJECT"]
    assert (there.access.keys / "AWS_SECRET_ACCESS_KEY").read_text() == "very-secret"
    assert TrustedKeys(there.trusted_keys).key_ids() == (sha256(play.key).hexdigest(),)
    assert there.home == play.files / "01234567"  # another installation has another


def read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("sign", [False, True])
def test_the_key_that_signs_comes_when_it_is_asked_for_and_goes_when_the_connection_ends(play, sign):
    with play.connected(sign=sign) as said:
        there = Settings.from_environment(play.source())
        assert there.signing_key.exists() is sign
        assert ("SIGN=1" in said) is not sign
        if sign:
            assert Signer(there.signing_key).public_pem == play.key
    assert not there.signing_key.exists()
    # Where it is not, none is made: it would sign what nobody trusts.
    assert there.signing_key.parent != there.home / "keys"


def test_nothing_that_is_secret_is_said_or_lies_open(play):
    with play.connected(sign=True) as said:
        for path in play.files.rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert stat.S_IMODE(play.files.stat().st_mode) == 0o700
    assert "very-secret" not in said + play.notes.read_text()
    assert "PRIVATE" not in said
    assert "very-secret" not in (play.files / "settings").read_text()


def test_without_being_asked_the_secret_of_the_key_is_not_even_looked_at(play):
    with play.connected():
        pass
    assert "noria-signing" not in play.notes.read_text()


def test_the_ways_end_with_it(play):
    with play.connected():
        there = Settings.from_environment(play.source())
    with pytest.raises(OSError, match="refused"):
        read(there.kfp.host)


def test_a_port_that_is_taken_is_left_to_its_holder(play):
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # where somebody holds it already, that is as good
            holder.bind(("127.0.0.1", 8888))
            holder.listen()
        with play.connected():
            there = Settings.from_environment(play.source())
            assert not there.kfp.host.endswith(":8888")
            assert read(f"{there.kfp.host}/x") == "service/ml-pipeline-ui/x"


def test_the_shell_keeps_to_its_cluster_when_another_is_chosen(play):
    config = play.folder / "config"
    config.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "other",
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in ("other", "team/play")],
        "clusters": [{"name": name, "cluster": {"server": "https://x"}} for name in ("other", "team/play")],
        "users": [{"name": name, "user": {"token": "x"}} for name in ("other", "team/play")],
    }))  # fmt: skip
    with play.connected(KUBECONFIG=str(config)):
        environment = play.source()
    assert "--context=team/play port-forward" in play.notes.read_text()
    kubectl = Path(sys.executable).with_name("kubectl")
    asked = "from kubernetes.config import list_kube_config_contexts as found; print(found()[1]['name'])"
    for words in ([kubectl, "config", "current-context"], [sys.executable, "-c", asked]):
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "team/play"


def test_what_is_reached_from_here_needs_no_way_and_keeps_nobody_waiting(play):
    play.objects["kubeflow/ConfigMap/noria-settings"]["data"]["NORIA_OBJECTS_ENDPOINT"] = "https://s3.example:9000"
    with play.connected(NORIA_KFP="https://kfp.example", NORIA_KFP_TOKEN_FILE="/run/token") as said:
        pass
    assert "nothing goes on running" in said
    there = Settings.from_environment(play.source())
    assert (there.kfp.host, there.kfp.token_file) == ("https://kfp.example", Path("/run/token"))
    assert there.access.endpoint == "https://s3.example:9000"
    assert "port-forward" not in play.notes.read_text()


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("kubeflow/ConfigMap/noria-settings", "no ConfigMap noria-settings in namespace kubeflow: `make deploy`"),
        ("kubeflow/Secret/noria-s3", "no Secret noria-s3 in namespace kubeflow"),
        ("kubeflow/Service/ml-pipeline-ui", "no Service ml-pipeline-ui"),
    ],
)
def test_what_the_cluster_lacks_is_told_and_nothing_is_written(play, missing, words):
    del play.objects[missing]
    with play.connected() as said:
        pass
    assert words in said
    assert not play.home.exists()


def test_a_service_that_does_not_answer_is_told_with_what_kubectl_said(play):
    play.broken.touch()
    service = Service(namespace="kubeflow", name="ml-pipeline-ui", port=80, usual=0)
    (play.folder / "world.json").write_text("{}")
    with (
        pytest.raises(ClusterError, match=r"ml-pipeline-ui .*\(lost connection to pod\)"),
        forwarded([str(play.folder / "kubectl")], [service], patience=2),
    ):
        pass


def test_what_answers_at_a_port_that_kubectl_has_not_is_not_taken_for_the_service(play, monkeypatch):
    """Another program may take a port between the moment when it was free and the one when kubectl wants it."""
    (play.folder / "world.json").write_text("{}")
    command = [str(play.folder / "kubectl")]
    other = Service(namespace="kubeflow", name="ml-pipeline-ui", port=80, usual=0)
    with forwarded(command, [other]) as (taken,):
        ports = iter([taken, forwarding._free_port(0)])
        monkeypatch.setattr(forwarding, "_free_port", lambda usual: next(ports))
        own = Service(namespace="noria", name="noria-seaweedfs", port=8333, usual=0)
        with forwarded(command, [own]) as (port,):
            assert read(f"http://127.0.0.1:{port}/x") == "service/noria-seaweedfs/x"


def test_a_way_that_breaks_is_led_again(play):
    (play.folder / "world.json").write_text("{}")
    play.broken.touch()
    program = (play.folder / "kubectl").read_text()
    # It breaks once, and is whole from then on.
    (play.folder / "kubectl").write_text(program.replace("sys.exit(", f"os.remove({str(play.broken)!r}); sys.exit("))
    service = Service(namespace="noria", name="noria-seaweedfs", port=8333, usual=0)
    with forwarded([str(play.folder / "kubectl")], [service]) as (port,):
        assert read(f"http://127.0.0.1:{port}/x") == "service/noria-seaweedfs/x"
    assert play.notes.read_text().count("port-forward") == 2


def test_a_way_that_was_open_is_led_again_to_the_same_port(play):
    (play.folder / "world.json").write_text("{}")
    service = Service(namespace="noria", name="noria-seaweedfs", port=8333, usual=0)
    with forwarded([str(play.folder / "kubectl")], [service]) as (port,):
        with pytest.raises(OSError, match="closed"):
            read(f"http://127.0.0.1:{port}/lose")  # its pod, as far as kubectl goes
        deadline, said = time.monotonic() + 30, ""
        while not said and time.monotonic() < deadline:
            with suppress(OSError):
                said = read(f"http://127.0.0.1:{port}/x")
        assert said == "service/noria-seaweedfs/x"


def test_a_shell_that_has_taken_settings_over_makes_no_home_in_a_home(tmp_path):
    with pytest.raises(UsageError, match="in another one"):
        folder_of(tmp_path / "clusters" / "team-play" / "01234567", "team/play")


def test_keys_of_an_earlier_time_do_not_stay(tmp_path):
    old = {"old.pem": "x"}
    found = Found(context="c", installation="i", settings={}, store_keys={}, trusted=old, signing={"signing.pem": "s"})
    write(tmp_path, found, {}, "config")
    write(tmp_path, Found(**{**vars(found), "trusted": {"new.pem": "x"}, "signing": {}}), {}, "config")
    assert [path.name for path in (tmp_path / "trusted").iterdir()] == ["new.pem"]
    assert not (tmp_path / "signing.pem").exists()


@pytest.mark.parametrize("name", ["../out", "..", ""])
def test_a_name_that_is_no_file_s_is_not_written(tmp_path, name):
    found = Found(context="c", installation="i", settings={}, store_keys={name: "x"}, trusted={}, signing={})
    with pytest.raises(ClusterError, match="no file's name"):
        write(tmp_path / "files", found, {}, "config")
