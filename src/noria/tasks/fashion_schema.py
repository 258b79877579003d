"""Fashion schema: the columns of a picture, and of what the feature store says about it."""

from __future__ import annotations

from noria.schema import Column, Schema

SIDE = 28  # pixels
PUBLISHER = "Zalando Research"
KEY = "item"

ASKED = (
    Column(name="id", type="string", role="id", description="part of the data set and place in it", owner=PUBLISHER),
    Column(
        name="time",
        type="timestamp",
        role="time",
        unit="UTC",
        description="made: 1,000 pictures a day",
        owner="Noria",
    ),
    Column(
        name=KEY,
        type="string",
        role="key",
        description="the garment, by which its statistics are found; each is shown once",
        owner=PUBLISHER,
    ),
    Column(
        name="image",
        type="uint8",
        role="feature",
        shape=(SIDE, SIDE),
        unit="grey level",
        minimum=0,
        maximum=255,
        description="white garment on black",
        owner=PUBLISHER,
    ),
)
ANSWERED = (
    Column(
        name="label",
        type="int64",
        role="label",
        unit="class",
        minimum=0,
        maximum=9,
        description="garment",
        owner=PUBLISHER,
    ),
)


def _statistic(name: str, unit: str, maximum: float, description: str) -> Column:
    return Column(
        name=name,
        type="float64",
        role="context",
        unit=unit,
        minimum=0,
        maximum=maximum,
        description=description,
        owner="Noria",
    )


STATISTICS = (
    _statistic("ink", "grey level", 255, "mean of the picture"),
    _statistic("filled", "", 1, "share of the pixels that are not near black"),
    _statistic("height", "pixel", SIDE, "of what is not black"),
    _statistic("width", "pixel", SIDE, "of what is not black"),
    _statistic("symmetry", "", 1, "1 where the left half mirrors the right one, 0 where only one shows anything"),
)
EVENTS = Schema(columns=(*ASKED, *ANSWERED))
ROWS = Schema(columns=(*ASKED, *STATISTICS, *ANSWERED))
