"""S3: an object store in a bucket of any server that speaks S3 and honours conditional writes."""

from __future__ import annotations

import builtins
import hashlib
import io
import re
import time
import uuid
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from noria.errors import BucketMissingError, ObjectExistsError, ObjectMissingError, StoreError, UsageError
from noria.ml.durable import publish_folder, staged, sweep
from noria.settings import AccessSettings
from noria.stores.contents import Contents, decode_contents, read_contents
from noria.stores.objects import check_key, check_prefix
from noria.stores.s3_access import make_client
from noria.stores.s3_errors import NO_BUCKET, code_of, explain, is_missing

_CONTENTS = ".contents.json"  # what a folder is going to hold; written first, once
_COMPLETE = ".complete"  # written last: the folder is there
_PROBE = ".conditional-put"
_CHUNK = 1 << 20
_CONFLICTS = frozenset({"PreconditionFailed", "412"})
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class S3Store:
    """An ObjectStore (its contract is there) below `prefix` in a bucket.

    Endpoint, region and credentials are as AccessSettings says, by default boto3's own (AWS_ENDPOINT_URL, …).
    A request is tried `attempts` times, also one whose answer breaks off; each object carries its sha256, and what is
    read is checked against it. `put_new` is a conditional put (If-None-Match: *). A server that ignores the condition
    would let two writers both win, so the first `put_new` of a store checks it; the object for that stays there.
    A folder's list of contents is written before its files, and a marker after them, without which it is not there.
    One object, also a file of a folder, holds at most 5 GiB.
    """

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str = "",
        access: AccessSettings | None = None,
        attempts: int = 4,
        timeout_seconds: float = 60.0,
    ) -> None:
        if not _BUCKET.fullmatch(bucket):
            raise UsageError(
                f"{bucket!r} is not a bucket's name: expected s3://bucket/prefix with 3 to 63 of [a-z0-9.-]"
            )
        self.bucket = bucket
        self._base = f"{check_key(prefix)}/" if prefix else ""
        self._access = access
        self._attempts = attempts
        self._timeout = timeout_seconds
        self._honoured = False

    @cached_property
    def _client(self) -> Any:
        config = Config(
            connect_timeout=min(5.0, self._timeout),
            read_timeout=self._timeout,
            retries={"mode": "standard", "total_max_attempts": self._attempts},
        )
        return make_client(self._access or AccessSettings.from_environment(), self.bucket, config)

    def put(self, key: str, data: bytes) -> None:
        self._send(self._base + check_key(key), data, hashlib.sha256(data).hexdigest())

    def put_new(self, key: str, data: bytes) -> None:
        self._check_honoured()
        if not self._create(self._base + check_key(key), data):
            raise ObjectExistsError(f"object {key} is already at {self.uri(key)}: expected to be its first writer")

    def get(self, key: str) -> bytes:
        sink = io.BytesIO()
        self.receive(self._base + check_key(key), lambda: sink)
        return sink.getvalue()

    def list(self, prefix: str, *, after: str = "") -> list[str]:
        start = self._base + check_prefix(prefix)
        options = {"StartAfter": self._base + after} if after else {}
        names: builtins.list[str] = []
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start, **options)
            for page in pages:
                names.extend(item["Key"].removeprefix(self._base) for item in page.get("Contents", ()))
        except (ClientError, BotoCoreError) as error:
            raise self._failure("listed", start, error) from error
        return sorted(name for name in _visible(names) if name > after)

    def exists(self, key: str) -> bool:
        full = self._base + check_key(key)
        return self.head(full) is not None or self.head(f"{full}/{_COMPLETE}") is not None

    def delete(self, key: str) -> None:
        full = self._base + check_key(key)
        try:
            self._client.delete_object(Bucket=self.bucket, Key=full)
        except (ClientError, BotoCoreError) as error:
            raise self._failure("removed", full, error) from error

    def put_folder(self, prefix: str, folder: Path) -> None:
        full = self._base + check_key(prefix)
        contents = _contents_of(folder)
        self._check_honoured()
        if not self._create(f"{full}/{_CONTENTS}", contents.encode()) and self._contents(full) != contents:
            raise ObjectExistsError(
                f"{self.uri(prefix)} is there, or was begun, and differs from {folder}: expected the same files; "
                "a key is used for one content only, so remove all objects below it, then run again"
            )
        if self.head(f"{full}/{_COMPLETE}") is not None:
            return
        for file in contents.files:
            with (folder / file.name).open("rb") as body:
                self._send(f"{full}/{file.name}", body, file.sha256)
        if _contents_of(folder) != contents:
            raise StoreError(
                f"{folder} changed while it was sent to {self.uri(prefix)}: expected nobody to write there"
            )
        self._send(f"{full}/{_COMPLETE}", b"", hashlib.sha256(b"").hexdigest())

    def fetch_folder(self, prefix: str, folder: Path) -> None:
        full = self._base + check_key(prefix)
        if self.head(f"{full}/{_COMPLETE}") is None:
            raise ObjectMissingError(f"no whole folder at {self.uri(prefix)}: check the key and NORIA_OBJECTS")
        contents = self._contents(full)
        if folder.exists() and any(folder.iterdir()):
            if _contents_of(folder) != contents:
                raise ObjectExistsError(f"{folder} differs from {self.uri(prefix)}: expected a new or an equal folder")
            return
        try:
            self._fetch(full, contents, folder)
        except OSError as error:
            raise StoreError(
                f"{self.uri(prefix)} cannot be fetched to {folder} ({error.strerror}): expected room in a folder that "
                "can be written; free space or choose another folder, then run again"
            ) from error

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._base}{check_key(key)}"

    def _fetch(self, full: str, contents: Contents, folder: Path) -> None:
        sweep(folder.parent)
        with staged(folder.parent) as staging:
            for file in contents.files:
                path = staging / file.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as sink:
                    self.receive(f"{full}/{file.name}", lambda sink=sink: sink)  # type: ignore[misc]
            if read_contents(staging) != contents:
                raise StoreError(f"s3://{self.bucket}/{full} holds other files than it says: publish the folder again")
            publish_folder(staging, folder)

    def _contents(self, full: str) -> Contents:
        key = f"{full}/{_CONTENTS}"
        sink = io.BytesIO()
        self.receive(key, lambda: sink)
        try:
            return decode_contents(sink.getvalue())
        except ValueError as error:
            raise StoreError(
                f"s3://{self.bucket}/{key} is no list of files ({error}): publish the folder again"
            ) from error

    def _send(self, full: str, body: bytes | BinaryIO, sha256: str, **options: str) -> str:
        """Put the object; return the mark of this very write."""
        mark = uuid.uuid4().hex
        metadata = {"noria-sha256": sha256, "noria-write": mark}
        try:
            self._client.put_object(Bucket=self.bucket, Key=full, Body=body, Metadata=metadata, **options)
        except (ClientError, BotoCoreError) as error:
            # The answer to an earlier try of this write may have been lost, so its own mark may be what is in the way.
            if "IfNoneMatch" in options and code_of(error) in _CONFLICTS:
                found = self.head(full)
                return mark if found and found.get("Metadata", {}).get("noria-write") == mark else ""
            raise self._failure("written", full, error) from error
        return mark

    def _create(self, full: str, data: bytes) -> bool:
        return bool(self._send(full, data, hashlib.sha256(data).hexdigest(), IfNoneMatch="*"))

    def _check_honoured(self) -> None:
        if not self._honoured:
            probe = self._base + _PROBE
            # The first store of a bucket writes the probe, so it tries twice; for all others the first try is refused.
            if self._create(probe, b"") and self._create(probe, b""):
                raise StoreError(
                    f"the server {self._client.meta.endpoint_url} of bucket {self.bucket} ignores If-None-Match: "
                    "expected conditional writes, without which two writers could both win; use AWS S3 or SeaweedFS 4"
                )
            self._honoured = True

    def head(self, full: str) -> dict[str, Any] | None:
        """What the server says of the object under the whole key, None where there is none; StoreError if it fails."""
        try:
            found: dict[str, Any] = self._client.head_object(Bucket=self.bucket, Key=full)
        except (ClientError, BotoCoreError) as error:
            if is_missing(error):
                return None
            raise self._failure("read", full, error) from error
        return found

    def receive(self, full: str, sink: Callable[[], BinaryIO]) -> None:
        """Write the object under the whole key to a sink, a new one each try; ObjectMissingError, StoreError."""
        for attempt in range(self._attempts):
            try:
                return self._download(full, sink())
            except BotoCoreError as error:
                if attempt + 1 == self._attempts:
                    raise self._failure("read", full, error) from error
            except ClientError as error:
                if is_missing(error):
                    raise ObjectMissingError(f"no object s3://{self.bucket}/{full}: check the key") from error
                raise self._failure("read", full, error) from error
            time.sleep(0.1 * 2**attempt)
        return None

    def _download(self, full: str, sink: BinaryIO) -> None:
        response = self._client.get_object(Bucket=self.bucket, Key=full)
        digest = hashlib.sha256()
        sink.seek(0)
        sink.truncate()
        for chunk in response["Body"].iter_chunks(_CHUNK):
            sink.write(chunk)
            digest.update(chunk)
        expected = response.get("Metadata", {}).get("noria-sha256", digest.hexdigest())
        if digest.hexdigest() != expected:
            raise StoreError(
                f"s3://{self.bucket}/{full} arrived with sha256 {digest.hexdigest()}: expected {expected}, as it was "
                "written; it was altered, so write it again from its source"
            )

    def _failure(self, verb: str, full: str, error: ClientError | BotoCoreError) -> StoreError:
        where = f"s3://{self.bucket}/{full} at {self._client.meta.endpoint_url}"
        kind = BucketMissingError if code_of(error) == NO_BUCKET else StoreError
        return kind(f"{where} cannot be {verb} ({error}): {explain(error)}")


def _contents_of(folder: Path) -> Contents:
    try:
        return read_contents(folder)
    except OSError as error:
        raise StoreError(f"{folder} cannot be read ({error.strerror}): expected a folder of readable files") from error


def _visible(names: list[str]) -> list[str]:
    """Leave out the store's own objects, and the files of folders that are not complete."""
    begun = {name.removesuffix(_CONTENTS) for name in names if name.endswith(f"/{_CONTENTS}")}
    unfinished = tuple(begun - {name.removesuffix(_COMPLETE) for name in names if name.endswith(f"/{_COMPLETE}")})
    own = (name for name in names if not any(segment.startswith(".") for segment in name.split("/")))
    return [name for name in own if not name.startswith(unfinished)]
