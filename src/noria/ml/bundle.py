"""Bundle: what training publishes and serving loads, a signed folder named by the digest of its manifest.

    model.onnx       raw features in, probabilities out
    rule.onnx        the task's rule, in the same form; only where the task declares a fallback
    bundle.json      the facts: task, schema, classes, costs, calibration, training data, metrics, code
    profile.json     the reference for drift
    manifest.json    one sha256 per file above; the sha256 of this file is the bundle's digest
    signature.json   over the files above; it names its key and is no part of the digest

Nothing in it depends on the time or on the machine: equal training, equal digest.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from noria.errors import BundleError, NoriaError
from noria.features import FeatureService
from noria.ml.durable import publish_folder, staged, sweep
from noria.ml.envelope import SIGNATURE_FILE, parse_envelope, parse_statement
from noria.ml.manifest import MANIFEST_FILE, decode_manifest, digest_of, encode_manifest
from noria.ml.signature import Signer, TrustedKeys
from noria.schema import Schema
from noria.task import Value

MODEL_FILE = "model.onnx"
FACTS_FILE = "bundle.json"
PROFILE_FILE = "profile.json"
RULE_FILE = "rule.onnx"
CONTENT = frozenset({MODEL_FILE, FACTS_FILE, PROFILE_FILE})
FILES = CONTENT | {MANIFEST_FILE, SIGNATURE_FILE}  # of every bundle; RULE_FILE may stand beside them


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The expected calibration error on the validation rows, before and after temperature scaling."""

    ece_before: float
    ece_after: float


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known about the model besides its weights.

    `costs[truth][decision]` is what an error costs. `parity` is the largest difference between torch's probabilities
    and ONNX's. `training_start` is in the training data's window, `training_end` is not.
    """

    task: str
    schema: Schema
    classes: tuple[str, ...]
    costs: tuple[tuple[float, ...], ...]
    temperature: float
    calibration: Calibration
    training_data: str  # the dataset's digest
    training_rows: int
    training_start: datetime
    training_end: datetime
    parameters: Mapping[str, Value | Mapping[str, Value]]
    metrics: Mapping[str, float]  # on the validation rows
    parity: float
    code: str  # the version of the code
    service: FeatureService | None = None  # where those features come from that a request does not bring
    fallback: bool = False  # the bundle holds the task's rule, which may answer in the model's place


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified bundle; `model`, `profile` and `rule` are the very bytes that were verified."""

    digest: str
    folder: Path
    key_id: str
    facts: Facts
    model: bytes
    profile: bytes
    rule: bytes | None = None


def write_bundle(
    folder: Path, *, model: bytes, facts: Facts, profile: bytes, signer: Signer, rule: bytes | None = None
) -> str:
    """Write and sign the bundle, whole or not at all, and return its digest; done again it changes nothing.

    BundleError if the folder already holds something else, if a number among the facts is not finite, or if there is a
    rule without a declared fallback, or none with one.
    """
    _check_rule(folder, facts, rule)
    files = {MODEL_FILE: model, FACTS_FILE: _encode_facts(facts), PROFILE_FILE: profile}
    if rule is not None:
        files[RULE_FILE] = rule
    manifest = encode_manifest(files)
    files[MANIFEST_FILE] = manifest
    try:
        _publish(folder, files, signer)
    except FileExistsError as error:
        _check_names(folder)
        if any(_read(folder, name) != data for name, data in files.items()):
            raise BundleError(
                f"{folder} already holds something else than bundle {digest_of(manifest)[:12]}…: expected a new or an "
                "empty folder; write to another one, or remove it first"
            ) from error
    except OSError as error:
        raise BundleError(
            f"the bundle cannot be written to {folder} ({error.strerror}): expected room for {len(model)} bytes in a "
            "folder that can be written; free space or choose another folder, then run again"
        ) from error
    return digest_of(manifest)


def open_bundle(folder: Path, *, trusted: TrustedKeys, expected: str | None = None) -> Bundle:
    """Load the bundle; every digest and the signature are verified before a byte of its content is parsed.

    Each file is read once, so what was verified is what is used. BundleError if a file is missing, too much, a link or
    altered, if nobody or nobody trusted signed, or if the digest is not the expected one.
    """
    files = {name: _read(folder, name) for name in sorted(_check_names(folder))}
    key_id = _check_signature(folder, files, trusted)
    digest = _check_manifest(folder, files)
    if expected is not None and digest != expected:
        raise BundleError(f"{folder} holds bundle {digest}: expected {expected}; fetch that one, or ask for this one")
    facts, rule = _decode_facts(folder, files[FACTS_FILE]), files.get(RULE_FILE)
    _check_rule(folder, facts, rule)
    return Bundle(
        digest=digest,
        folder=folder,
        key_id=key_id,
        facts=facts,
        model=files[MODEL_FILE],
        profile=files[PROFILE_FILE],
        rule=rule,
    )


def _check_rule(folder: Path, facts: Facts, rule: bytes | None) -> None:
    if facts.fallback != (rule is not None):
        found, expected = ("no rule", "one") if rule is None else ("a rule", "none")
        raise BundleError(
            f"the bundle {folder} has {found}, and its facts say fallback: {facts.fallback}: expected {expected} then; "
            "train again"
        )


def _publish(folder: Path, files: Mapping[str, bytes], signer: Signer) -> None:
    sweep(folder.parent)
    with staged(folder.parent) as staging:
        # model-signing writes the folder's name into the signature, so the staged folder already bears it.
        whole = staging / folder.name
        whole.mkdir(parents=True)
        for name, data in files.items():
            (whole / name).write_bytes(data)
        signer.sign_folder(whole)
        publish_folder(whole, folder)


def _encode_facts(facts: Facts) -> bytes:
    try:
        read = msgspec.json.decode(msgspec.json.encode(facts), type=Facts, strict=True)
    except msgspec.ValidationError as error:
        raise BundleError(
            f"the bundle's facts do not read back ({error}): expected finite numbers and texts"
        ) from error
    if read != facts or facts.training_start.tzinfo is None or facts.training_end.tzinfo is None:
        raise BundleError("the bundle's facts read back differently: expected the declared types and times in UTC")
    # What was read is written: 1 given where a float is declared is 1.0 then, so equal facts are equal bytes.
    return msgspec.json.encode(read, order="deterministic")


def _decode_facts(folder: Path, data: bytes) -> Facts:
    try:
        return msgspec.json.decode(data, type=Facts, strict=True)
    except (msgspec.MsgspecError, NoriaError) as error:
        raise BundleError(
            f"{folder / FACTS_FILE} is signed but does not fit this version ({error}): train again, or use the version "
            "of Noria that wrote it"
        ) from error


def _check_names(folder: Path) -> set[str]:
    """The names of the bundle's files; BundleError unless they are those of a bundle."""
    try:
        if folder.is_symlink() or not folder.is_dir():
            raise BundleError(
                f"{folder} is not a folder: expected one with {', '.join(sorted(FILES))}; give a bundle's folder"
            )
        found = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise BundleError(f"{folder} cannot be read ({error.strerror}): expected a bundle's folder") from error
    if SIGNATURE_FILE not in found and found >= CONTENT:
        raise BundleError(f"the bundle {folder} is unsigned: expected {SIGNATURE_FILE}; publish it again, signed")
    if found - {RULE_FILE} != FILES:
        missing, extra = ", ".join(sorted(FILES - found)), ", ".join(sorted(found - FILES - {RULE_FILE}))
        raise BundleError(
            f"the bundle {folder} lacks [{missing}] and has [{extra}] too much: expected exactly "
            f"{', '.join(sorted(FILES))}, and at most {RULE_FILE} beside them; fetch it again"
        )
    return found


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - opened without following links
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BundleError(f"{path} is not a regular file: a bundle holds nothing else; fetch it again")
            return file.read()
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.strerror}): expected a regular file, not a link; fetch the bundle again"
        ) from error


def _check_signature(folder: Path, files: Mapping[str, bytes], trusted: TrustedKeys) -> str:
    try:
        envelope = parse_envelope(files[SIGNATURE_FILE])
        trusted.verify(key_id=envelope.key_id, signed=envelope.signed, signature=envelope.signature)
        signed = parse_statement(envelope.payload)
    except (BundleError, ValueError) as error:
        raise BundleError(f"the signature of bundle {folder} is refused: {error}") from error
    expected = files.keys() - {SIGNATURE_FILE}
    for name in sorted(expected):
        if signed.get(name) != digest_of(files[name]):
            raise BundleError(
                f"{folder / name} was altered: its sha256 is {digest_of(files[name])}, signed was {signed.get(name)}; "
                "fetch the bundle again"
            )
    if set(signed) != expected:
        raise BundleError(f"the signature of bundle {folder} is over {sorted(signed)}: expected {sorted(expected)}")
    return envelope.key_id


def _check_manifest(folder: Path, files: Mapping[str, bytes]) -> str:
    try:
        listed = decode_manifest(files[MANIFEST_FILE]).files
    except ValueError as error:
        raise BundleError(f"{folder / MANIFEST_FILE} is not a manifest ({error}): publish the bundle again") from error
    if listed != {name: digest_of(files[name]) for name in files.keys() - {MANIFEST_FILE, SIGNATURE_FILE}}:
        raise BundleError(
            f"{folder / MANIFEST_FILE} lists other files or digests than the bundle has: publish it again"
        )
    return digest_of(files[MANIFEST_FILE])
