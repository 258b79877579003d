"""Fashion: which of ten garments does a picture show? Fashion-MNIST, replayed as a stream of days.

The 70,000 pictures have no time of their own. The task gives them one: 1,000 a day from 1 September 2017, the 60,000
training pictures first, so that the last ten of the seventy days are the official test set. The times are made, the
pictures and labels are not. Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", 2017.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import SourceError
from noria.ml.dataset import table_of, utc
from noria.ml.rule import fit_nearest_mean_rule
from noria.schema import Schema
from noria.task import Rows, Rule, Task, Value, Window
from noria.tasks import idx
from noria.tasks.fashion_schema import EVENTS, KEY, ROWS
from noria.tasks.fashion_statistics import SERVICE, write_statistics

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

FIRST_DAY = np.datetime64("2017-09-01", "us")
ITEMS_A_DAY = 1000
CHUNK = 8192
EVER = Window(start=utc(FIRST_DAY), end=utc(FIRST_DAY + np.timedelta64(70, "D")))  # all that is replayed
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

# The sha256 of each file unpacked: packers differ, the data do not.
PARTS = (
    ("train", 60_000, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
     "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    ("t10k", 10_000, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
     "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
)  # fmt: skip


class Fashion(Task):
    """Its model takes the picture alone; the statistics of fashion_v1 are the context that people see beside it."""

    name = "fashion"
    classes = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    service = SERVICE
    events: Schema = EVENTS
    schema: Schema = ROWS
    fallback = True  # a garment that is taken for its neighbour does no harm
    defaults: Mapping[str, Value] = {
        "start": "2017-09-01",
        "end": "2017-11-10",
        "validation_days": 6,
        "holdout_days": 10,
        "epochs": 10,
        "batch_size": 128,
        "learning_rate": 0.004,
        "patience": 4,
    }

    def find_source(self, folder: Path) -> Path | None:
        places = (DEBIAN_FOLDER, folder / "FashionMNIST" / "raw")
        return next((place for place in places if all(_files(place, part) for part, *_ in PARTS)), None)

    def fetch_source(self, folder: Path) -> Path:
        from noria.tasks.vision import ensure_torchvision

        try:
            ensure_torchvision().datasets.FashionMNIST(str(folder), download=True)
        except (OSError, RuntimeError) as error:
            raise SourceError(
                f"Fashion-MNIST could not be downloaded ({error}): install the Debian package dataset-fashion-mnist "
                "(apt-get install dataset-fashion-mnist), or set NORIA_SOURCE_FASHION to a folder with the four files"
            ) from error
        return folder / "FashionMNIST" / "raw"

    def fingerprint(self, source: Path | None) -> str:
        digest = hashlib.sha256()
        for path in _all_files(source):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def read(self, source: Path | None, window: Window) -> Iterator[pa.Table]:
        """Yield the window's pictures in order, after every file has been checked whole."""
        return (table_of(self.events, chunk) for chunk in _read_chunks(source, window))

    def write_features(self, source: Path | None, folder: Path) -> None:
        """Write the statistics of all pictures, each as known from when its item was listed."""
        write_statistics(_read_chunks(source, EVER), folder)

    def read_item(self, path: Path) -> Rows:
        """Read a picture file as one garment: grey, 28 × 28, white on black as in the data set."""
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as picture:
                small = picture.convert("L").resize((28, 28), Image.Resampling.BILINEAR)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise SourceError(f"{path} cannot be read as a picture ({error}): give a PNG or JPEG file") from error
        return {"image": np.asarray(small, np.uint8)[None]}

    def check_network(self, options: Mapping[str, Value]) -> None:
        from noria.tasks.fashion_options import read_options

        read_options(options)

    def build_network(self, options: Mapping[str, Value]) -> torch.nn.Module:
        from noria.tasks.fashion_network import build

        return build(options)

    def augment(self, features: tuple[torch.Tensor, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        from noria.tasks.fashion_network import augment

        return augment(features, generator)

    def fit_rule(self, features: Rows, labels: NDArray[np.int64]) -> Rule:
        """The nearest class mean, in grey levels."""
        return fit_nearest_mean_rule((self.schema["image"],), features, labels, len(self.classes))

    def slices(self, rows: Rows) -> Mapping[str, NDArray[np.bool_]]:
        """Kinds of garment, and pictures that are hard for their light."""
        labels, light = rows["label"], rows["ink"]
        return {
            "tops": np.isin(labels, (0, 2, 3, 4, 6)),
            "shoes": np.isin(labels, (5, 7, 9)),
            "trousers and bags": np.isin(labels, (1, 8)),
            "dark pictures": light < 40,
            "bright pictures": light > 110,
        }


def _files(folder: Path, part: str) -> tuple[Path, Path] | None:
    """The image and the label file of a part, packed or not; None where one is missing."""
    found = []
    for kind in ("images-idx3", "labels-idx1"):
        path = folder / f"{part}-{kind}-ubyte"
        packed = path.with_name(path.name + ".gz")
        if not path.exists() and not packed.exists():
            return None
        found.append(path if path.exists() else packed)
    return found[0], found[1]


def _all_files(source: Path | None) -> list[Path]:
    folder = source or DEBIAN_FOLDER
    found = [_files(folder, part) for part, *_ in PARTS]
    missing = [part for (part, *_), files in zip(PARTS, found, strict=True) if files is None]
    if missing:
        raise SourceError(
            f"{folder} lacks the idx files of {', '.join(missing)} (images-idx3 and labels-idx1, .gz or not): "
            "install the Debian package dataset-fashion-mnist, or set NORIA_SOURCE_FASHION to a folder with all four"
        )
    return [path for files in found if files for path in files]


def _read_part(
    source: Path | None, part: str, size: int, images_sha256: str, labels_sha256: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    files = _files(source or DEBIAN_FOLDER, part)
    if files is None:
        raise SourceError(
            f"the files of {part} vanished from {source or DEBIAN_FOLDER} while they were read: run again"
        )
    images, labels = files
    return (
        idx.parse(images, idx.read_bytes(images), (size, 28, 28), images_sha256),
        idx.parse(labels, idx.read_bytes(labels), (size,), labels_sha256),
    )


def _read_chunks(source: Path | None, window: Window) -> Iterator[dict[str, NDArray[Any]]]:
    """The columns of the window's events in order, a chunk of rows at a time."""
    _all_files(source)
    parts = [(part, *_read_part(source, part, size, images, labels)) for part, size, images, labels in PARTS]
    offset = 0
    for part, images, labels in parts:
        times = _times(offset, len(labels))
        inside = np.flatnonzero(window.holds(times))
        for at in range(0, len(inside), CHUNK):
            rows = inside[at : at + CHUNK]
            names = np.array([f"{part}-{row:05d}" for row in rows], object)
            yield {
                "id": names,
                "time": times[rows],
                KEY: names,
                "image": images[rows],
                "label": labels[rows].astype(np.int64),
            }
        offset += len(labels)


def _times(offset: int, size: int) -> NDArray[np.datetime64]:
    """The made event times of `size` items from place `offset` of the replay on."""
    step = timedelta(days=1) / ITEMS_A_DAY
    return FIRST_DAY + np.arange(offset, offset + size) * np.timedelta64(step)
