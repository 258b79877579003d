"""Idx: a torn, swapped or altered file is refused by name."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from noria.errors import SourceError
from noria.tasks import idx


def pack(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
LABELS = np.arange(5, dtype=np.uint8)


@pytest.mark.parametrize("packed", [False, True])
def test_an_array_comes_back(tmp_path, packed):
    path = tmp_path / ("images.gz" if packed else "images")
    path.write_bytes(gzip.compress(pack(IMAGES)) if packed else pack(IMAGES))
    np.testing.assert_array_equal(idx.parse(path, idx.read_bytes(path), IMAGES.shape), IMAGES)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"nothing\.gz is missing"):
        idx.read_bytes(tmp_path / "nothing.gz")


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "images").touch()
    with pytest.raises(SourceError, match="is empty"):
        idx.read_bytes(tmp_path / "images")


def test_every_truncation_of_a_packed_file_is_refused(tmp_path):
    whole = gzip.compress(pack(IMAGES))
    path = tmp_path / "images.gz"
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(SourceError, match=r"images\.gz"):
            idx.parse(path, idx.read_bytes(path), IMAGES.shape)


def test_every_truncation_of_an_unpacked_file_is_refused(tmp_path):
    for length in range(len(pack(IMAGES))):
        with pytest.raises(SourceError):
            idx.parse(tmp_path / "images", pack(IMAGES)[:length], IMAGES.shape)


def test_swapped_files_are_told(tmp_path):
    with pytest.raises(SourceError, match=r"begins with 00 00 08 01, expected 00 00 08 03.*swapped"):
        idx.parse(tmp_path / "images", pack(LABELS), IMAGES.shape)


def test_another_number_of_items_is_told(tmp_path):
    with pytest.raises(SourceError, match="says it holds 5, expected 6"):
        idx.parse(tmp_path / "labels", pack(LABELS), (6,))


def test_extra_bytes_are_told(tmp_path):
    with pytest.raises(SourceError, match="holds 6 bytes after its header, expected 5"):
        idx.parse(tmp_path / "labels", pack(LABELS) + b"x", (5,))


def test_an_altered_byte_is_told(tmp_path):
    data = pack(LABELS)
    digest = hashlib.sha256(data).hexdigest()
    assert idx.parse(tmp_path / "labels", data, (5,), digest).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(SourceError, match="altered"):
        idx.parse(tmp_path / "labels", data[:-1] + b"\x09", (5,), digest)
