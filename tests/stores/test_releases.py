"""The ledger through its front door, over a real folder store and a real S3 server."""

from __future__ import annotations

import base64
import json
import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from noria.errors import LedgerError, UsageError
from noria.ml.signature import Signer, TrustedKeys, make_key
from noria.stores.anchor import AnchorFile
from noria.stores.folder import FolderStore
from noria.stores.ledger_entry import Entry, decode_entry, encode_entry, sign_entry
from noria.stores.opening import open_store
from noria.stores.releases import Ledger

START = datetime(2026, 1, 1, tzinfo=UTC)


def digest(name: str) -> str:
    return sha256(name.encode()).hexdigest()


A, B, C, D = (digest(f"bundle {name}") for name in "ABCD")


class Clock:
    """A clock that goes on by an hour each time that somebody looks at it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


class Place:
    """A ledger's surroundings in a folder of their own."""

    def __init__(self, folder: Path, address: str) -> None:
        self.address, self.anchors, self.keys = address, folder / "anchors", folder / "keys"
        self.signer = make_key(self.keys)
        self.clock = Clock()

    def open(self, *, signer: Signer | None = None, anchors: bool = True, reader: bool = False) -> Ledger:
        return Ledger(
            open_store(self.address),
            "fashion",
            signer=None if reader else signer or self.signer,
            trusted=TrustedKeys(self.keys / "trusted"),
            anchors=self.anchors if anchors else None,
            clock=self.clock,
        )

    def file(self, sequence: int) -> Path:
        return Path(self.address) / "releases" / "fashion" / f"{sequence:08}.json"


def promote(ledger: Ledger, bundle: str, plan: str = "", basis: str | None = None) -> Entry:
    return ledger.promote(
        bundle=bundle, plan=digest(plan or bundle), basis=ledger.basis() if basis is None else basis,
        evidence=ledger.put_evidence(b'{"about":"%s"}' % bundle.encode()), reason="not worse", actor="anna", code="1",
    )  # fmt: skip


def evaluate(ledger: Ledger, bundle: str, *, passed: bool = False, reason: str = "worse") -> Entry:
    champion = ledger.champion()
    return ledger.record_evaluation(
        bundle=bundle, champion=champion.bundle if champion else "", plan=digest(bundle), basis=ledger.basis(),
        evidence=ledger.put_evidence(b"{}"), passed=passed, reason=reason, actor="anna", code="1",
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, str(tmp_path / "objects"))


@pytest.fixture(params=["folder", "s3"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    address = str(tmp_path / "objects") if request.param == "folder" else request.getfixturevalue("s3_address")
    return Place(tmp_path, address)


def test_an_empty_ledger_has_no_champion(any_place: Place) -> None:
    ledger = any_place.open()
    assert ledger.entries() == ()
    assert ledger.champion() is None
    assert ledger.champion_at(START) is None
    assert ledger.basis() == ""
    assert ledger.verify() == ()


def test_a_promotion_makes_a_champion_that_another_process_reads(any_place: Place) -> None:
    ledger = any_place.open()
    refused = evaluate(ledger, B)
    entry = promote(ledger, A)
    reader = any_place.open(reader=True)
    champion = reader.champion()
    assert champion is not None
    assert (champion.bundle, champion.entry, champion.since) == (A, entry.digest, entry.time)
    assert reader.entries() == (refused, entry)
    assert (refused.sequence, refused.previous, entry.previous) == (1, "", refused.digest)
    assert reader.read_evidence(entry.evidence) == b'{"about":"%s"}' % A.encode()
    assert reader.verify() == ()


def test_which_model_served_at_a_time_is_answered_from_the_entries(place: Place) -> None:
    ledger = place.open()
    first, second = promote(ledger, A), promote(ledger, B)
    back = ledger.rollback(to=None, reason="complaints", actor="bert")
    assert ledger.champion_at(first.time - timedelta(microseconds=1)) is None
    assert ledger.champion_at(first.time) == first
    assert ledger.champion_at(second.time - timedelta(microseconds=1)) == first
    assert ledger.champion_at(second.time) == second
    served = ledger.champion_at(datetime(2030, 1, 1, tzinfo=UTC))
    assert served == back
    assert (served.bundle, served.reason, served.actor) == (A, "complaints", "bert")
    with pytest.raises(UsageError, match="time zone"):
        ledger.champion_at(datetime(2026, 1, 1))  # noqa: DTZ001 - the naive time is the point


def test_a_repeated_promotion_changes_nothing(place: Place) -> None:
    ledger = place.open()
    first = promote(ledger, A, basis="")
    assert promote(place.open(), A, basis="") == first
    assert len(ledger.entries()) == 1


def test_a_repeated_evaluation_is_recorded_once_but_one_on_another_basis_anew(place: Place) -> None:
    ledger = place.open()
    first = evaluate(ledger, B)
    assert evaluate(place.open(), B, reason="told otherwise") == first
    promote(ledger, A)
    assert evaluate(ledger, B) != first
    assert [entry.kind for entry in ledger.entries()] == ["evaluated", "promoted", "evaluated"]


def test_a_promotion_on_an_old_basis_is_refused(place: Place) -> None:
    ledger = place.open()
    promote(ledger, A)
    basis = ledger.basis()
    promote(place.open(), B)
    with pytest.raises(LedgerError, match=f"changed from {A} to {B}.*run again"):
        promote(ledger, C, basis=basis)
    assert ledger.champion().bundle == B  # type: ignore[union-attr]


def test_an_old_promotion_is_not_repeated_after_a_rollback(place: Place) -> None:
    ledger = place.open()
    promote(ledger, A)
    basis = ledger.basis()
    promote(ledger, B, basis=basis)
    ledger.rollback(to=None, reason="complaints", actor="bert")
    with pytest.raises(LedgerError, match="changed"):
        promote(ledger, B, basis=basis)


def test_a_plan_that_made_the_champion_keeps_its_own_basis(place: Place) -> None:
    ledger = place.open()
    promote(ledger, A, "plan 1")
    before = ledger.basis()
    promote(ledger, B, "plan 2")
    assert ledger.plan_basis(digest("plan 2")) == before
    assert ledger.plan_basis(digest("plan 1")) == ledger.basis()
    ledger.rollback(to=None, reason="complaints", actor="bert")
    assert ledger.plan_basis(digest("plan 2")) == ledger.basis()


def test_the_champion_itself_is_not_promoted_over_itself(place: Place) -> None:
    ledger = place.open()
    first = promote(ledger, A, "plan 1")
    assert promote(ledger, A, "plan 2") == first
    assert len(ledger.entries()) == 1


def test_a_rollback_goes_down_the_line_of_champions(place: Place) -> None:
    ledger = place.open()
    for bundle in (A, B, C):
        promote(ledger, bundle)
    assert ledger.rollback(to=None, reason="r", actor="a").bundle == B
    assert ledger.rollback(to=None, reason="r", actor="a").bundle == A
    with pytest.raises(LedgerError, match="no champion before"):
        ledger.rollback(to=None, reason="r", actor="a")
    assert ledger.rollback(to=C, reason="r", actor="a").champion == A
    assert ledger.rollback(to=None, reason="r", actor="a").bundle == A
    assert [entry.kind for entry in ledger.entries()] == ["promoted"] * 3 + ["rolled-back"] * 4
    assert ledger.verify() == ()


def test_a_rollback_to_what_never_served_or_serves_is_refused(place: Place) -> None:
    ledger = place.open()
    with pytest.raises(LedgerError, match="no champion before"):
        ledger.rollback(to=None, reason="r", actor="a")
    promote(ledger, A)
    with pytest.raises(LedgerError, match="never was champion"):
        ledger.rollback(to=B, reason="r", actor="a")
    with pytest.raises(LedgerError, match="already"):
        ledger.rollback(to=A, reason="r", actor="a")
    with pytest.raises(LedgerError, match=f"abc never was champion.*{A}"):
        ledger.rollback(to="abc", reason="r", actor="a")
    assert len(ledger.entries()) == 1


class Overtaken(FolderStore):
    """A store in which somebody else writes just before an entry."""

    def __init__(self, root: Path, rival: Callable[[], object]) -> None:
        super().__init__(root)
        self.rival: Callable[[], object] | None = rival

    def put_new(self, key: str, data: bytes) -> None:
        if key.startswith("releases/") and self.rival is not None:
            rival, self.rival = self.rival, None
            rival()
        super().put_new(key, data)


def overtaken(place: Place, rival: Callable[[], object]) -> Ledger:
    trusted = TrustedKeys(place.keys / "trusted")
    store = Overtaken(Path(place.address), rival)
    return Ledger(store, "fashion", signer=place.signer, trusted=trusted, anchors=place.anchors, clock=place.clock)


def test_a_rollback_that_a_promotion_overtakes_is_refused(place: Place) -> None:
    for bundle in (A, B):
        promote(place.open(), bundle)
    with pytest.raises(LedgerError, match=f"changed from {B} to {C} while the rollback"):
        overtaken(place, lambda: promote(place.open(), C)).rollback(to=None, reason="r", actor="a")
    assert place.open().champion().bundle == C  # type: ignore[union-attr]


def test_a_promotion_that_an_evaluation_overtakes_is_the_next_entry(place: Place) -> None:
    promote(place.open(), A)
    entry = promote(overtaken(place, lambda: evaluate(place.open(), C)), B)
    assert entry.sequence == 3
    assert place.open().verify() == ()


def test_an_anchor_never_goes_back(place: Place) -> None:
    anchor = AnchorFile(place.anchors, "fashion", "file:///x")
    anchor.advance(2, B)
    anchor.advance(1, A)
    seen = anchor.read()
    assert seen is not None
    assert (seen.sequence, seen.digest) == (2, B)


def test_a_decision_without_its_evidence_is_refused(place: Place) -> None:
    with pytest.raises(LedgerError, match="is missing: expected the evidence"):
        place.open().promote(bundle=A, plan=A, basis="", evidence=D, reason="", actor="", code="")
    with pytest.raises(LedgerError, match="evidence '' is not a digest"):
        place.open().promote(bundle=A, plan=A, basis="", evidence="", reason="", actor="", code="")


def test_one_without_a_key_reads_but_does_not_write(place: Place) -> None:
    promote(place.open(), A)
    with pytest.raises(LedgerError, match="no signing key"):
        promote(place.open(reader=True), B)


def test_a_clock_that_went_back_keeps_the_order_or_is_refused(place: Place) -> None:
    ledger = place.open()
    first = promote(ledger, A)
    place.clock.now = first.time - timedelta(hours=1, minutes=3)
    assert promote(ledger, B).time == first.time
    place.clock.now = first.time - timedelta(days=2)
    with pytest.raises(LedgerError, match="set the clock"):
        promote(ledger, C)


def test_two_tasks_and_two_stores_do_not_disturb_each_other(place: Place, tmp_path: Path) -> None:
    promote(place.open(), A)
    with pytest.raises(UsageError, match="not a task's name"):
        Ledger(
            FolderStore(tmp_path), "../x", signer=None, trusted=TrustedKeys(tmp_path), anchors=None, clock=place.clock
        )
    elsewhere = Place(tmp_path, str(tmp_path / "other"))
    assert elsewhere.open().champion() is None


def refusals(place: Place) -> list[str]:
    """What a fresh verification finds; and reading has to refuse as well, exactly if something was found."""
    found = [str(problem) for problem in place.open().verify()]
    if found:
        with pytest.raises(LedgerError, match="releases verify"):
            place.open().champion()
        with pytest.raises(LedgerError, match="releases verify"):
            promote(place.open(), D, basis="")
    else:
        place.open().champion()
    return found


@pytest.fixture
def full(place: Place) -> Place:
    ledger = place.open()
    evaluate(ledger, B)
    promote(ledger, A)
    evaluate(ledger, C)
    promote(ledger, B)
    ledger.rollback(to=None, reason="complaints", actor="bert")
    assert refusals(place) == []
    return place


def overwrite(path: Path, place: int, value: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes([value]))


@pytest.mark.parametrize("sequence", [3, 5])
def test_any_flipped_byte_of_any_entry_is_found(full: Place, sequence: int) -> None:
    path = full.file(sequence)
    original = path.read_bytes()
    trusted = full.open(anchors=False)
    for place in range(len(original)):
        bit = (0x01, 0x20, 0x80)[place % 3]
        overwrite(path, place, original[place] ^ bit)
        assert any(path.name in str(problem) for problem in trusted.verify()), (place, bit)
        overwrite(path, place, original[place])
    assert trusted.verify() == ()


@pytest.mark.parametrize("sequence", [1, 2, 4])
def test_a_removed_entry_is_named(full: Place, sequence: int) -> None:
    full.file(sequence).unlink()
    assert any(f"{sequence:08}.json: missing" in text for text in refusals(full))


def test_a_cut_off_end_is_found_by_the_anchor(full: Place) -> None:
    full.file(5).unlink()
    assert refusals(full) == [text for text in refusals(full) if "00000005.json: truncated" in text] != []
    assert full.open(anchors=False).verify() == ()


def test_a_wholly_removed_ledger_is_found_by_the_anchor(full: Place) -> None:
    for sequence in range(1, 6):
        full.file(sequence).unlink()
    assert any("truncated: found the end after entry 0" in text for text in refusals(full))


def test_swapped_entries_are_named(full: Place) -> None:
    first, second = full.file(1).read_bytes(), full.file(3).read_bytes()
    full.file(1).write_bytes(second)
    full.file(3).write_bytes(first)
    found = refusals(full)
    assert any("00000001.json: reordered" in text for text in found)
    assert any("00000003.json: reordered" in text for text in found)


def test_objects_that_are_no_entries_are_named(full: Place) -> None:
    (full.file(1).parent / "note.txt").write_bytes(b"x")
    (full.file(1).parent / "00000000.json").write_bytes(b"x")
    found = refusals(full)
    assert any("note.txt: inserted" in text for text in found)
    assert any("00000000.json: inserted" in text for text in found)


def test_an_entry_far_beyond_the_end_is_found_at_once(full: Place) -> None:
    full.file(99_999_999).write_bytes(full.file(5).read_bytes())
    assert any("00000006.json: missing: found nothing up to entry 99999998" in text for text in refusals(full))


def forge(place: Place, sequence: int, signer: Signer, **changes: object) -> Entry:
    """An entry that fits the chain in every way in which somebody without the key could make it fit."""
    before = decode_entry(place.file(sequence - 1).read_bytes())
    template = decode_entry(place.file(min(sequence, 4)).read_bytes())
    draft = replace(template, sequence=sequence, previous=before.digest, time=before.time, **changes)
    return sign_entry(draft, signer)


def test_an_appended_entry_of_an_unknown_signer_is_found(full: Place, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger")
    full.file(6).write_bytes(encode_entry(forge(full, 6, stranger, bundle=D, basis=full.open().basis(), champion=A)))
    assert any("00000006.json: forged" in text and stranger.key_id in text for text in refusals(full))


def test_an_altered_last_entry_is_found_without_an_anchor(full: Place) -> None:
    last = decode_entry(full.file(5).read_bytes())
    full.file(5).write_bytes(encode_entry(replace(last, bundle=B)))
    assert any("00000005.json: forged" in str(problem) for problem in full.open(anchors=False).verify())


def test_a_last_entry_with_the_twin_of_its_signature_is_found_by_the_anchor(full: Place) -> None:
    """Of an ECDSA signature (r, s) anybody can make a second valid one, (r, n - s)."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    last = decode_entry(full.file(5).read_bytes())
    r, s = decode_dss_signature(base64.b64decode(last.signature))
    twin = replace(last, signature=base64.b64encode(encode_dss_signature(r, order - s)).decode())
    full.file(5).write_bytes(encode_entry(twin))
    assert any("00000005.json: altered" in text and "seen earlier" in text for text in refusals(full))


def test_an_entry_of_another_task_is_found(full: Place) -> None:
    entry = forge(full, 6, full.signer, task="flights", kind="evaluated", passed=False)
    full.file(6).write_bytes(encode_entry(entry))
    assert any("reordered: found entry 6 of task 'flights'" in text for text in refusals(full))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"basis": ""}, "basis"),
        ({"basis": D}, "basis"),
        ({"champion": C}, "replaced champion"),
        ({"passed": False}, "passed"),
        ({"kind": "rolled-back", "bundle": D}, "former champion"),
        ({"time": START}, "time"),
    ],
)
def test_a_signed_entry_that_contradicts_those_before_it_is_found(
    full: Place, changes: dict[str, object], said: str
) -> None:
    last = full.open().entries()[-1]
    right = {"bundle": D, "kind": "promoted", "basis": last.digest, "champion": A, "passed": True, "time": last.time}
    draft = replace(last, sequence=6, previous=last.digest, **{**right, **changes})  # type: ignore[arg-type]
    full.file(6).write_bytes(encode_entry(sign_entry(draft, full.signer)))
    assert any("00000006.json: inconsistent" in text and said in text for text in refusals(full))


def test_a_signed_entry_that_follows_another_one_is_found(full: Place) -> None:
    last = full.open().entries()[-1]
    draft = replace(last, sequence=6, previous=D, kind="evaluated", time=last.time)
    full.file(6).write_bytes(encode_entry(sign_entry(draft, full.signer)))
    assert any(f"00000006.json: broken chain: found the digest {D}" in text for text in refusals(full))


def test_a_torn_or_reformatted_entry_is_found(full: Place) -> None:
    original = full.file(5).read_bytes()
    for torn in (b"", original[:-1], original + b"\n", json.dumps(json.loads(original)).encode(), b"[]", b"\xff"):
        full.file(5).write_bytes(torn)
        assert any("00000005.json: altered" in text for text in refusals(full))


def test_missing_and_altered_evidence_is_found(full: Place) -> None:
    entries = full.open().entries()
    first, second = entries[0].evidence, entries[1].evidence
    folder = Path(full.address) / "evidence"
    (folder / f"{first}.json").unlink()
    (folder / f"{second}.json").write_bytes(b"{ }")
    found = {(problem.entry, problem.kind) for problem in full.open().verify()}
    assert found == {(f"evidence/{first}.json", "missing"), (f"evidence/{second}.json", "altered")}


def test_a_torn_anchor_is_named(full: Place) -> None:
    (anchor,) = full.anchors.glob("*.json")
    anchor.write_bytes(b"{")
    with pytest.raises(LedgerError, match="anchor"):
        full.open().champion()


def test_reading_again_asks_only_for_what_is_new(full: Place) -> None:
    class Counting(FolderStore):
        gets = 0

        def get(self, key: str) -> bytes:
            self.gets += 1
            return super().get(key)

    store = Counting(Path(full.address))
    ledger = Ledger(
        store, "fashion", signer=full.signer, trusted=TrustedKeys(full.keys / "trusted"), anchors=None, clock=full.clock
    )
    ledger.champion()
    assert store.gets == 5
    ledger.champion()
    ledger.basis()
    assert store.gets == 5
    promote(full.open(), C)
    assert ledger.champion().bundle == C  # type: ignore[union-attr]
    assert store.gets == 6


def race(folder: Path, address: str, bundle: str, barrier: object) -> str:
    place = Place(folder, address)
    ledger = place.open()
    basis = ledger.basis()
    barrier.wait()  # type: ignore[attr-defined]
    try:
        return promote(ledger, bundle, basis=basis).digest
    except LedgerError as error:
        assert "changed" in str(error)  # noqa: PT017 - in another process
        return ""


def crowd(folder: Path, address: str, number: int, barrier: object) -> str:
    ledger = Place(folder, address).open()
    ledger.entries()
    barrier.wait()  # type: ignore[attr-defined]
    return evaluate(ledger, digest(f"crowd {number // 2}")).digest


Together = Callable[[Callable[..., str], list[tuple[object, ...]]], list[str]]


@pytest.fixture
def together() -> Iterator[Together]:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(6) as pool:
        barrier = manager.Barrier(6)
        yield lambda work, calls: pool.starmap(work, [(*call, barrier) for call in calls], chunksize=1)


def test_of_concurrent_promotions_exactly_one_wins(any_place: Place, tmp_path: Path, together: Together) -> None:
    promote(any_place.open(), A)
    any_place.clock.now = START
    wins = together(race, [(tmp_path, any_place.address, digest(f"racer {n}")) for n in range(6)])
    (winner,) = [win for win in wins if win]
    assert any_place.open().basis() == winner
    assert len(any_place.open().entries()) == 2
    assert any_place.open().verify() == ()


def test_concurrent_evaluations_all_find_a_place_and_twins_share_one(
    any_place: Place, tmp_path: Path, together: Together
) -> None:
    digests = together(crowd, [(tmp_path, any_place.address, n) for n in range(6)])
    assert digests[0::2] == digests[1::2]
    entries = any_place.open().entries()
    assert sorted(entry.digest for entry in entries) == sorted(set(digests))
    assert len(entries) == 3


def test_the_ledger_loads_quickly_and_without_heavy_libraries() -> None:
    heavy = ["torch", "pyarrow", "pandas", "kfp", "model_signing", "sigstore", "boto3"]
    code = f"import sys; import noria.stores.releases; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_an_entry_reads_back_as_it_was(full: Place) -> None:
    for entry in full.open().entries():
        assert msgspec.json.decode(encode_entry(entry), type=Entry) == entry
        assert full.file(entry.sequence).read_bytes() == encode_entry(entry)
