"""The serving bench: its clients count rightly, its servers answer rightly, and it gets to its end."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.figure import Figure
from bench.plot import LEFT, draw_figure
from bench.serving.asking import Connection, WrongAnswerError, witness
from bench.serving.load import Tools, make_tools
from bench.serving.models import Model, make_models
from bench.serving.notes import Key, Notes, run_rounds
from bench.serving.peers import KSERVE, NORIA, OTHERS, Peer
from bench.serving.plan import read_plan
from bench.serving.questions import Question, make_question, read_v2_json
from bench.serving.servers import Cores, alive, choose_cores, serving, tree

ROOT = Path(__file__).parents[2]
ABSENT = [name for name in ("wrk", "taskset", "cc") if shutil.which(name) is None]
needs_tools = pytest.mark.skipif(bool(ABSENT), reason=f"there is no {', '.join(ABSENT)}")


@pytest.fixture(scope="module")
def cores() -> Cores:
    return choose_cores()


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_models(tmp_path_factory.mktemp("models"), ("nothing",))["nothing"]


@pytest.fixture(scope="module")
def tools(cores: Cores) -> Iterator[Tools]:
    with make_tools(cores.server, cores.client) as made:
        yield made


@pytest.fixture
def question(nothing: Model) -> Question:
    return make_question("V2 binary", "/", nothing, nothing.rows(2))


class Moody(http.server.BaseHTTPRequestHandler):
    """Of five requests, it answers one, refuses two, fails at one, and hangs up on one."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    moods = iter(())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status = next(self.moods, 200)
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "1")
        if status == 200:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            time.sleep(0.002)  # the body of this server comes after its head, as KServe's does
            self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")
            return
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def moody() -> Iterator[int]:
    Moody.moods = iter([200, 429, 503, 500, 0] * 4)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@needs_tools
def test_the_open_loop_tells_what_became_of_every_request(tools: Tools, question: Question, moody: int) -> None:
    load = tools.load(moody, question, rate=100.0, seconds=1.0, connections=2)
    assert load.due == 100
    assert 20 <= load.asked <= 100
    assert (load.refused.count, load.without_retry_after) == (8, 4)
    assert (load.strange, load.last_strange, load.faults) == (4, 500, 4)
    assert load.answered.count == load.asked - 8 - 4 - 4
    assert (load.unanswered, load.not_connected) == (0, 0)


@needs_tools
def test_an_answer_in_chunks_is_read_to_its_end(tools: Tools, question: Question, moody: int) -> None:
    Moody.moods = iter(())
    load = tools.load(moody, question, rate=0, seconds=0.2, connections=2)
    assert load.answered.count == load.asked > 2
    assert (load.strange, load.faults) == (0, 0)


@needs_tools
def test_what_waits_for_a_connection_is_timed_from_when_it_was_due(tools: Tools, question: Question) -> None:
    with tools.echo() as port:
        calm = tools.load(port, question, rate=0, seconds=0.2, connections=1)
        # far more than one connection can carry
        flooded = tools.load(port, question, rate=2e6, seconds=0.2, connections=1)
    assert flooded.asked < flooded.due == 400_000
    assert flooded.answered.count == flooded.asked
    assert flooded.answered.p50 > 20_000 > calm.answered.p50 > 0


@needs_tools
def test_wrk_counts_the_answers_that_were_no_success(tools: Tools, question: Question, moody: int) -> None:
    rate = tools.wrk(moody, question, connections=1, seconds=1)
    assert rate.status == 12
    assert rate.requests > 12


@needs_tools
def test_the_bench_gets_from_its_models_to_its_figures() -> None:
    command = [sys.executable, "-m", "bench.serving", "--quick"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    figures = msgspec.json.decode(ended.stdout, type=list[Figure])
    assert [figure.id for figure in figures] == ["S1", "S1b", "S1c", "S2", "S3", "S4", "S5"]
    for figure in figures:
        assert figure.met is None
        assert figure.ratios == (), "there was nobody to compare with"
        assert figure.facts["KServe"].startswith("not measured: not asked for")
        assert "<svg" in draw_figure(figure)
        for found in figure.quantities:
            assert "Noria" in found.name or found.name in FLOORS
            assert len(found.name) * 6.4 < LEFT or found.unit != (figure.drawn or figure.quantities[0].unit), found.name


FLOORS = ("ONNX Runtime's own call", "a request that does nothing", "Python with ONNX Runtime", "ONNX Runtime alone")


@pytest.mark.parametrize("peer", [NORIA, KSERVE, *OTHERS], ids=lambda peer: peer.name)
def test_a_server_answers_as_onnx_runtime_does(peer: Peer, nothing: Model, cores: Cores) -> None:
    if reason := peer.missing():
        pytest.skip(f"{peer.title}: {reason}")
    with serving(peer, nothing, cores) as server:
        for protocol in peer.paths:
            with Connection(server.port) as connection:
                connection.ask(server.question(protocol, 3))
        assert server.cpu_seconds() > 0
        assert server.peak_memory_mib() > 10
        family = tree(server.process.pid)
    assert not [pid for pid in family if alive(pid)]


def test_a_server_that_ends_says_why(nothing: Model, cores: Cores, capsys: pytest.CaptureFixture[str]) -> None:
    broken = replace(nothing, bundle=nothing.bundle.with_name("keys"))
    (broken.bundle / "model.onnx").write_bytes(nothing.file.read_bytes())
    with pytest.raises(WrongAnswerError, match="ended before its first answer"), serving(NORIA, broken, cores):
        pass
    assert "lacks [bundle.json" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [np.nan, 0.2])
def test_a_wrong_probability_does_not_pass(question: Question, wrong: float) -> None:
    def answer(probabilities: np.ndarray) -> tuple[dict[str, str], bytes]:
        size = {"binary_data_size": probabilities.nbytes}
        output = {"name": "probabilities", "datatype": "FP32", "shape": probabilities.shape, "parameters": size}
        head = msgspec.json.encode({"outputs": [output]})
        return {"inference-header-content-length": str(len(head))}, head + probabilities.tobytes()

    given = question.expected.copy()
    question.check(*answer(given))
    given[1, 3] = wrong
    with pytest.raises(ValueError, match="off by"):
        question.check(*answer(given))
    with pytest.raises(ValueError, match="shape"):
        question.check(*answer(question.expected[:1]))


def test_a_v2_answer_may_bring_other_outputs_too() -> None:
    outputs = [
        {"name": "label", "shape": [1], "datatype": "INT64", "data": [1]},
        {"name": "probabilities", "shape": [1, 2], "datatype": "FP32", "data": [0.25, 0.75]},
    ]
    assert read_v2_json({}, msgspec.json.encode({"outputs": outputs})).tolist() == [[0.25, 0.75]]


def test_the_witness_hears_a_wrong_answer(question: Question, moody: int) -> None:
    with pytest.raises(WrongAnswerError, match="under load"), witness(moody, question, pause=0.001):
        next(thread for thread in threading.enumerate() if thread.name == "witness").join()


def test_a_round_with_a_wrong_answer_leaves_nothing_behind() -> None:
    turns = iter([None, WrongAnswerError("two cats"), None])

    def one(fresh: Notes) -> None:
        fresh.add(Key(what="rate", server="noria"), 1.0)
        if fault := next(turns):
            raise fault

    notes = Notes()
    assert run_rounds(notes, "cats", 3, one)
    assert notes.of(Key(what="rate", server="noria")) == [1.0, 1.0]
    assert notes.void == ["cats, round 2: two cats"]
    turns = iter([WrongAnswerError("no cat")])
    assert not run_rounds(notes, "dogs", 1, one)
    assert notes.void[1:] == ["dogs, round 1: no cat"]


def test_a_plan_takes_what_is_asked_for_and_refuses_a_stranger(capsys: pytest.CaptureFixture[str]) -> None:
    plan = read_plan(["--rounds", "2", "--peers", "kserve"], (KSERVE,))
    assert (plan.rounds, plan.servers) == (2, (KSERVE, NORIA))
    assert read_plan([], (KSERVE,)).servers == (KSERVE, NORIA)
    assert read_plan(["--quick"], (KSERVE,)).servers == (NORIA,)
    with pytest.raises(SystemExit):
        read_plan(["--peers", "triton"], (KSERVE,))
    assert "no peer triton: there are kserve" in capsys.readouterr().err


def test_a_peer_without_its_environment_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.serving.peers.ENVIRONMENTS", tmp_path)
    assert "make bench-peers" in str(KSERVE.missing())
    assert NORIA.missing() is None
