"""A ledger that somebody altered: whatever was changed is found and named, and nobody goes on with it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from ledgers import START, A, B, C, D, Place, refusals

from noria.errors import LedgerError
from noria.ml.signature import Signer, make_key
from noria.stores.anchor import AnchorFile
from noria.stores.ledger_entry import Entry, decode_entry, encode_entry, sign_entry


def test_an_anchor_never_goes_back(place: Place) -> None:
    anchor = AnchorFile(place.anchors, "fashion", "file:///x")
    anchor.advance(2, B)
    anchor.advance(1, A)
    seen = anchor.read()
    assert seen is not None
    assert (seen.sequence, seen.digest) == (2, B)


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
