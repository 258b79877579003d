"""Tables: the feature tables of a task as they were at a moment, published under the digest of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from noria.errors import SourceError
from noria.steps.workspace import Workspace, digest_of
from noria.stores.opening import local_folder
from noria.task import TakesFeatures

STAMP = "event_timestamp"
FACTS = "tables.json"
ROWS_A_GROUP = 100_000  # the offline store leaves out groups that no row can see, so they are neither long nor many


@dataclass(frozen=True, kw_only=True)
class TableFacts:
    """One table: its rows, those that were left out because they were known only later, and the file's sha256."""

    rows: int
    left_out: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class TablesFacts:
    """tables.json: the tables by name, for the feature service `service`, as of a moment."""

    service: str
    as_of: datetime
    tables: Mapping[str, TableFacts]


def publish_tables(workspace: Workspace, task: TakesFeatures, source: Path | None, as_of: datetime) -> str:
    """Have the task write its tables, leave out what was known only after `as_of`, and publish them; returns the URI.

    Raises SourceError for a table without moments.
    """
    with workspace.scratch() as scratch:
        written, kept = scratch / "written", scratch / "tables"
        written.mkdir()
        kept.mkdir()
        task.write_features(source, written)
        facts = {path.stem: _cut(path, kept / path.name, as_of) for path in sorted(written.glob("*.parquet"))}
        said = TablesFacts(service=task.service.name, as_of=as_of, tables=facts)
        encoded = msgspec.json.encode(said, order="deterministic")
        (kept / FACTS).write_bytes(encoded)
        key = f"features/{hashlib.sha256(encoded).hexdigest()}"
        workspace.store.put_folder(key, kept)
        return workspace.store.uri(key)


def open_tables(workspace: Workspace, uri: str) -> tuple[Path, TablesFacts]:
    """The folder of the tables on this machine's disk, with every byte verified; SourceError if one is altered."""
    digest = digest_of(uri)
    folder = local_folder(workspace.store, f"features/{digest}", workspace.settings.home / "cache")
    encoded = (folder / FACTS).read_bytes()
    if hashlib.sha256(encoded).hexdigest() != digest:
        raise SourceError(f"{folder / FACTS} is not what its address {digest[:12]} says: remove the folder, run again")
    facts = msgspec.json.decode(encoded, type=TablesFacts)
    for name, table in facts.tables.items():
        if (found := _sha256(folder / f"{name}.parquet")) != table.sha256:
            raise SourceError(
                f"{folder}/{name}.parquet has digest {found[:12]}, {FACTS} says {table.sha256[:12]}: "
                "remove the folder, and run again"
            )
    return folder, facts


def _cut(written: Path, kept: Path, as_of: datetime) -> TableFacts:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(written)
    if STAMP not in table.column_names or table.schema.field(STAMP).type != pa.timestamp("us", tz="UTC"):
        raise SourceError(
            f"feature table {written.stem} has the columns {', '.join(table.column_names)}: expected {STAMP} among "
            "them, the moment from which a row was known, in UTC with microseconds"
        )
    known = table.filter(pc.less_equal(table[STAMP], pa.scalar(as_of, pa.timestamp("us", tz="UTC"))))
    pq.write_table(known, kept, coerce_timestamps="us", compression="zstd", row_group_size=ROWS_A_GROUP)
    return TableFacts(rows=len(known), left_out=len(table) - len(known), sha256=_sha256(kept))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
