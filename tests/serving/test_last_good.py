"""The model that answered well before, and the champion before the champion."""

import asyncio
import gc
import json
import threading
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
from predictor import PATIENCE, Predictor, predictor, start, wait_until
from questions import v1, v2
from shop import serving_digest
from tiny_models import facts_of, make_model
from wary import ENDLESS, FACTS, MODEL, PREDICT, RULE, SOON, WARY, WaryShop, ask, asked, counted, rule_of, send, write

from noria.ml.bundle import open_bundle
from noria.ml.signature import Signer, TrustedKeys
from serving.metrics import make_metrics
from serving.model import ServedModel, load_model
from serving.options import Limits
from serving.slot import Slot

FOLLOW = ["--follow", "wardrobe", "--poll-seconds", "0.05"]


def no_series_is_told_twice(running: Predictor) -> bool:
    lines = [line.rpartition(" ")[0] for line in running.client.get("/metrics").text.splitlines() if line[0] != "#"]
    return len(lines) == len(set(lines))


@pytest.fixture
def shop(tmp_path: Path) -> WaryShop:
    return WaryShop(tmp_path)


def test_the_last_good_model_answers_before_the_rule_does(shop: WaryShop):
    good = shop.make(rule_of(7))
    with predictor([*FOLLOW, *SOON], shop.home) as running:
        assert ask(running) == ("", good)
        bad = shop.make(MODEL)
        wait_until(lambda: serving_digest(running) == bad, "the new champion answers")
        assert ask(running) == ("last-good", good)
        assert ask(running, asked()) == ("", bad)
        assert running.metric("noria_fallbacks_total", version=bad[:12], by="last-good") == 1
        with send(running, asked(rounds=ENDLESS)) as client:
            assert b"\r\nnoria-fallback: last-good\r\n" in client.makefile("rb").read()
        assert ask(running, asked()) == ("last-good", good)
        # The one that hangs is no good one: the one before it still stands in for what comes next.
        third = shop.make(make_model(WARY, seed=3))
        wait_until(lambda: serving_digest(running) == third, "the third champion answers")
        assert ask(running, asked()) == ("", third)
        assert ask(running) == ("last-good", good)
        # The third one has answered well, so it is the last good one now; it fails on these rows as well.
        fourth = shop.make(make_model(WARY, seed=4))
        wait_until(lambda: serving_digest(running) == fourth, "the fourth champion answers")
        assert ask(running) == ("rule", fourth)


def test_a_model_that_never_answered_is_no_last_good_one(shop: WaryShop):
    shop.make(rule_of(7))
    with predictor(FOLLOW, shop.home) as running:
        bad = shop.make(MODEL)
        wait_until(lambda: serving_digest(running) == bad, "the new champion answers")
        assert ask(running) == ("rule", bad)


def test_a_model_with_other_bounds_for_its_features_does_not_stand_in(shop: WaryShop):
    narrow = (*WARY[:-1], replace(WARY[-1], maximum=3))
    facts = replace(facts_of(narrow), fallback=True)
    other = shop.promote(shop.put(rule_of(7), RULE, facts))
    with predictor(FOLLOW, shop.home) as running:
        assert ask(running, asked()) == ("", other)
        bad = shop.make(MODEL)
        wait_until(lambda: serving_digest(running) == bad, "the new champion answers")
        assert ask(running) == ("rule", bad)


def test_models_that_are_gone_leave_no_thread_and_no_memory(home: Path, signer: Signer, tmp_path: Path):
    def load(seed: int) -> ServedModel:
        folder = write(tmp_path / f"bundle {seed}", signer, model=rule_of(seed))
        return load_model(open_bundle(folder, trusted=TrustedKeys(home / "keys" / "trusted")), "", 1, 8)

    def threads() -> int:
        return sum(thread.name == "model" for thread in threading.enumerate())

    def held() -> list[bool]:
        gc.collect()
        return [model() is not None for model in models]

    async def run() -> None:
        slot = Slot(load(1), Limits(fallback_seconds=0.2), make_metrics())
        models.append(weakref.ref(slot.occupant.model))
        for seed in range(2, 6):
            outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            request = slot.occupant.reader.read_v2(json.dumps(v2(asked())).encode(), None)
            slot.occupant.submit(request, lambda told, by=None, outcome=outcome: outcome.set_result((told, by)))
            await outcome
            del request, outcome
            slot.swap(load(seed))
            models.append(weakref.ref(slot.occupant.model))
            assert [one.fallback for one in slot.occupant.stand_ins] == ["last-good", "rule"]
            # the model and the last good one, each with its rule
            await asyncio.to_thread(wait_until, lambda: threads() == before + 4, "all other threads have ended")
        await asyncio.to_thread(wait_until, lambda: held() == [False, False, False, True, True], "two are held")
        slot.close()
        await asyncio.to_thread(wait_until, lambda: threads() == before, "all threads have ended")

    before, models = threads(), list[weakref.ref[ServedModel]]()
    asyncio.run(run())


def test_a_rollback_to_the_last_good_model_counts_on(shop: WaryShop):
    good = shop.make(rule_of(7))
    with predictor(FOLLOW, shop.home) as running:
        assert ask(running) == ("", good)
        bad = shop.make(MODEL)
        wait_until(lambda: serving_digest(running) == bad, "the new champion answers")
        assert ask(running) == ("last-good", good)
        shop.ledger.rollback(to=None, reason="a test", actor="test")
        wait_until(lambda: serving_digest(running) == good, "the former champion answers")
        assert ask(running) == ("", good)
        assert running.metric("noria_model_info", version=good[:12]) == 1
        assert running.metric("noria_requests_total", version=good[:12], protocol="v2", code="200") == 2


def test_without_the_champions_bundle_the_one_before_it_answers_until_it_is_there(shop: WaryShop):
    oldest, former, champion = (shop.make(rule_of(seed)) for seed in (7, 8, 9))
    shop.hide(champion)
    with predictor(FOLLOW, shop.home) as running:
        assert (running.ready["digest"], running.ready["fallback"]) == (former, "last-good")
        assert running.client.get("/v2/health/ready").status_code == 200
        assert ask(running) == ("last-good", former)
        assert running.client.post(PREDICT, json=v1(asked())).json()["fallback"] == "last-good"
        assert counted(running, "last-good", champion) == 2, "under the one that was asked for"
        assert counted(running, "last-good", former) == 0
        assert running.metric("noria_champion_refused") == 1
        shop.show(champion)
        wait_until(lambda: serving_digest(running) == champion, "the champion answers")
        assert ask(running) == ("", champion)
        assert running.metric("noria_champion_refused") == 0
        assert counted(running, "last-good", champion) == 2, "the count goes on with the model"
        assert no_series_is_told_twice(running)
    shop.hide(champion)
    shop.hide(former)
    with predictor(["--follow", "wardrobe", "--poll-seconds", "600"], shop.home) as running:
        assert ask(running) == ("last-good", oldest)
        assert running.metric("noria_champion_refused") == 1  # before the ledger is looked at again
        assert running.metric("noria_model_loads_total", outcome="refused") == 1


def test_one_that_stands_in_from_the_start_has_its_rule_and_is_unmarked_once_it_is_champion(shop: WaryShop):
    former, champion = shop.make(MODEL), shop.make(rule_of(9))
    shop.hide(champion)
    with predictor(FOLLOW, shop.home) as running:
        assert ask(running, asked()) == ("last-good", former)
        assert ask(running) == ("rule", former)
        assert [counted(running, "rule", one) for one in (former, champion)] == [0, 1]
        shop.ledger.rollback(to=None, reason="a test", actor="test")
        wait_until(lambda: ask(running, asked()) == ("", former), "the answers are the champion's own")
        assert running.metric("noria_champion_refused") == 0
        assert ask(running) == ("rule", former)
        assert [counted(running, "rule", one) for one in (former, champion)] == [1, 1]


def test_what_stands_in_is_counted_under_the_champion_of_the_moment(shop: WaryShop):
    former, champion = shop.make(rule_of(7)), shop.make(rule_of(9))
    shop.hide(champion)
    with predictor(FOLLOW, shop.home) as running:
        assert ask(running) == ("last-good", former)
        second = shop.put(rule_of(8), RULE, FACTS)
        shop.hide(second)
        shop.promote(second)
        wait_until(lambda: second[:12] in running.client.get("/metrics").text, "the second champion is missed")
        assert ask(running) == ("last-good", former)
        assert [counted(running, "last-good", one) for one in (former, champion, second)] == [0, 1, 1]
        shop.show(second)
        wait_until(lambda: serving_digest(running) == second, "the second champion answers")
        assert ask(running, asked()) == ("", second)
        assert [counted(running, "last-good", one) for one in (former, champion, second)] == [0, 1, 1]
        assert no_series_is_told_twice(running)


def test_without_any_bundle_or_a_declared_fallback_nothing_is_served(shop: WaryShop):
    log = shop.home / "log"

    def refused() -> str:
        with start(FOLLOW, shop.home, log) as process:
            process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        return log.read_text()

    former = shop.make(rule_of(7), rule=None)
    champion = shop.make(rule_of(9), rule=None)
    shop.hide(champion)
    assert f"no bundle bundles/{champion}" in refused()
    shop.hide(former)
    assert f"no bundle bundles/{champion}" in refused()
