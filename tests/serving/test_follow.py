import json
import os
import select
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from predictor import PATIENCE, Predictor, predictor, start, wait_until
from questions import outputs, rows_of_many, v2
from shop import Shop, serving_digest
from tiny_models import ONE, facts_of, make_model

from noria.ml.bundle import open_bundle
from noria.ml.inference import Session, predict
from noria.ml.signature import make_key
from noria.stores.opening import open_store
from noria.stores.releases import Ledger

PIXELS = {"pixels": rows_of_many(4)["pixels"]}
INFER = "/v2/models/wardrobe/infer"
FOLLOW = ["--follow", "wardrobe", "--poll-seconds", "0.05"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def expected(seed: int) -> np.ndarray:
    return predict(Session.load(make_model(ONE, seed=seed)), PIXELS)


def test_a_new_champion_takes_over_without_a_lost_or_mixed_answer(shop: Shop):
    seeds = {shop.promote(shop.publish(seed=1)): 1}
    wrong: list[object] = []
    seen: set[str] = set()
    stop = threading.Event()

    def ask(running: Predictor) -> None:
        with running.connect() as client:
            while not stop.is_set():
                response = client.post(INFER, json=v2(PIXELS))
                if response.status_code != 200:
                    wrong.append(response.text)
                    return
                answer = response.json()
                digest = answer["parameters"]["bundle"]
                found = outputs(answer)["probabilities"]
                if response.headers["noria-bundle"] != digest or not np.allclose(found, truth[digest], atol=1e-6):
                    wrong.append(answer)
                seen.add(digest)

    truth = {digest: expected(seed) for digest, seed in seeds.items()}
    with predictor(FOLLOW, shop.home) as running:
        clients = [threading.Thread(target=ask, args=(running,)) for _ in range(4)]
        for client in clients:
            client.start()
        wait_until(lambda: set(seeds) <= seen or bool(wrong), "the first champion answers")
        for seed in (2, 3, 4):
            digest = shop.publish(seed=seed)
            truth[digest] = expected(seed)
            shop.promote(digest)
            wait_until(lambda digest=digest: digest in seen or bool(wrong), f"{digest} answers")
        stop.set()
        for client in clients:
            client.join()
        assert running.metric("noria_model_loads_total", outcome="served") == 4
    assert wrong == []
    assert seen == set(truth)


def test_a_rollback_is_followed_as_well(shop: Shop):
    first = shop.promote(shop.publish(seed=1))
    second = shop.promote(shop.publish(seed=2))
    with predictor(FOLLOW, shop.home) as running:
        assert running.ready["digest"] == second
        shop.ledger.rollback(to=None, reason="a test", actor="test")
        wait_until(lambda: serving_digest(running) == first, "the former champion answers")


def flip_a_byte(shop: Shop) -> str:
    digest = shop.publish(seed=9)
    path = shop.home / "objects" / "bundles" / digest / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return digest


def sign_as_a_stranger(shop: Shop) -> str:
    return shop.publish(seed=9, signer=make_key(shop.home / "stranger"))


def lack_the_bundle(shop: Shop) -> str:
    digest = shop.publish(seed=9)
    shutil.rmtree(shop.home / "objects" / "bundles" / digest)
    return digest


BAD_BUNDLES: dict[str, Callable[[Shop], str]] = {
    "a byte was flipped": flip_a_byte,
    "a stranger signed": sign_as_a_stranger,
    "no softmax": lambda shop: shop.publish(seed=9, softmax=False),
    "another number of classes": lambda shop: shop.publish(seed=9, classes=4),
    "one row only": lambda shop: shop.publish(seed=9, rows=1),
    "costs that decide nothing": lambda shop: shop.publish(seed=9, facts=facts_of(ONE, np.zeros((3, 3)).tolist())),
}


@pytest.mark.parametrize("spoil", BAD_BUNDLES.values(), ids=BAD_BUNDLES.keys())
def test_a_bad_champion_leaves_the_serving_one_in_place_until_a_good_one_comes(
    shop: Shop, spoil: Callable[[Shop], str]
):
    first = shop.promote(shop.publish(seed=1))
    with predictor(FOLLOW, shop.home) as running:
        bad = shop.promote(spoil(shop))
        wait_until(lambda: running.metric("noria_champion_refused") == 1, "the champion is refused")
        assert running.metric("noria_model_loads_total", outcome="refused") == 1
        assert serving_digest(running) == first
        assert running.client.post(INFER, json=v2(PIXELS)).status_code == 200
        assert running.client.get("/v2/health/ready").status_code == 200
        assert bad in running.log.read_text()
        good = shop.promote(shop.publish(seed=2))
        wait_until(lambda: serving_digest(running) == good, "the good champion answers")
        assert running.metric("noria_champion_refused") == 0


def outages(running: Predictor) -> list[str]:
    """What the log says of looks at the ledger and the store that failed, each without its reason."""
    events = [json.loads(line)["event"] for line in running.log.read_text().splitlines()]
    return [event.partition(", ")[0] for event in events if " keeps answering: " in event]


def test_a_bundle_that_is_late_in_the_store_is_served_when_it_comes(shop: Shop):
    first = shop.promote(shop.publish(seed=1))
    with predictor(FOLLOW, shop.home) as running:
        late = shop.promote(lack_the_bundle(shop))
        wait_until(lambda: running.metric("noria_ledger_faults_total") >= 4, "the store was asked four times")
        assert running.metric("noria_champion_refused") == 1
        assert serving_digest(running) == first
        assert outages(running) == [f"champion {late} cannot be had"], "told once for all looks"
        entry = shop.home / "objects" / "releases" / "wardrobe" / "00000003.json"
        entry.write_bytes(b"{}")
        wait_until(lambda: len(outages(running)) == 2, "another fault is told")
        entry.unlink()
        wait_until(lambda: len(outages(running)) == 3, "that the first one is back is told")
        assert outages(running)[1:] == ["no look at the ledger", f"champion {late} cannot be had"]
        assert shop.publish(seed=9) == late
        wait_until(lambda: serving_digest(running) == late, "the late bundle answers")


def test_a_broken_ledger_changes_nothing_for_clients(shop: Shop):
    first = shop.promote(shop.publish(seed=1))
    with predictor(FOLLOW, shop.home) as running:
        entry = next((shop.home / "objects" / "releases" / "wardrobe").iterdir())
        entry.with_name("00000002.json").write_bytes(b"{}")
        wait_until(lambda: running.metric("noria_ledger_faults_total") >= 1, "the ledger is refused")
        assert serving_digest(running) == first
        assert running.client.post(INFER, json=v2(PIXELS)).status_code == 200


def test_a_task_without_a_champion_is_not_served(shop: Shop):
    log = shop.home / "log"
    process = start(FOLLOW, shop.home, log)
    with process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (1, b"")
    told = log.read_text()
    assert f"task 'wardrobe' has no champion yet: found no ledger of any task at {shop.store.uri('releases')}" in told


@pytest.mark.parametrize(
    ("task", "advice"),
    [
        ("nosuch", "follow a task that there is (fashion, flights)"),
        ("flights", "run `noria run --task flights`, which makes one"),
    ],
)
def test_who_follows_a_task_without_a_champion_is_told_which_ledgers_there_are(shop: Shop, task: str, advice: str):
    shop.promote(shop.publish(seed=1))
    log = shop.home / "log"
    with start(["--follow", task], shop.home, log) as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (1, b"")
    told = log.read_text()
    assert f"task {task!r} has no champion yet: found ledgers of wardrobe at" in told
    assert advice in told
    assert "Traceback" not in told


def test_the_champion_comes_from_s3_and_is_kept_in_the_home(shop: Shop, s3_address: str, monkeypatch):
    remote = Shop(shop.home)
    remote.store = open_store(s3_address)
    remote.ledger = Ledger(
        remote.store,
        "wardrobe",
        signer=shop.signer,
        trusted=shop.trusted,
        anchors=shop.home / "anchors",
        clock=lambda: datetime.now(UTC),
    )
    remote.promote(remote.publish(seed=1))
    log = shop.home / "log"
    process = start(FOLLOW, shop.home, log, environment={"NORIA_OBJECTS": s3_address})
    with process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], PATIENCE)[0]
        ready = json.loads(process.stdout.readline() or b"{}")
        process.communicate(timeout=PATIENCE)  # closes its standard input, so it ends
    digest = ready["digest"]
    kept = [path for path in shop.home.rglob(digest) if path.is_dir()]
    assert [open_bundle(path, trusted=shop.trusted, expected=digest).digest for path in kept] == [digest]
    assert process.returncode == 0
    assert os.path.commonpath([kept[0], shop.home / "cache"]) == str(shop.home / "cache")


def test_the_champion_is_the_ledgers_choice_and_not_the_admin_ports(shop: Shop, one_bundle: Path):
    first = shop.promote(shop.publish(seed=1))
    second = shop.publish(seed=2)
    bundles = f"file://{shop.home}/objects/bundles"
    with predictor([*FOLLOW, "--admin-port", "0", "--admin-source", bundles], shop.home) as running:
        with httpx.Client(base_url=f"http://127.0.0.1:{running.ready['admin_port']}", timeout=PATIENCE) as admin:
            model = f"/v2/repository/models/{running.ready['model']}"
            assert admin.post(f"{model}/load", json={"source": f"{bundles}/{second}"}).status_code == 409
            assert admin.post(f"{model}/unload").status_code == 409
            assert admin.post(f"{model}/unload", json={"version": first}).status_code == 409
            beside = admin.post(f"{model}/load", json={"source": f"{bundles}/{second}", "default": False})
            assert beside.status_code == 200
        assert serving_digest(running) == first
