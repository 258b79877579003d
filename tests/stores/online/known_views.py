"""Views whose rows the tests of online stores write."""

from __future__ import annotations

from noria.features import FeatureView, Field
from noria.stores.online.rows import OnlineRow, Packer, row_key

STOCK = FeatureView(
    name="stock",
    keys=("shop",),
    fields=(
        Field(name="pieces", type="int64"),
        Field(name="price", type="float64"),
        Field(name="label", type="string"),
    ),
    ttl_seconds=60,
)
PACKER = Packer(STOCK)


def packed(event: int, pieces: int | None = 1, *, created: int = 0, price: float | None = 0.5, label: str | None = "a"):
    return PACKER.pack(OnlineRow(event=event, created=created, values=(pieces, price, label)))


def key(shop: str | int) -> bytes:
    return row_key("stock", (shop,))


def pieces(data: bytes | None) -> object:
    return None if data is None else PACKER.unpack(data).values[0]
