"""Schema: the columns of the task's rows, those of its events and those that the feature store adds."""

from __future__ import annotations

from collections.abc import Iterator

from noria.schema import Column, ColumnType, Role, Schema
from noria.tasks.flights.traffic import VIEWS, WINDOWS

CARRIER = "Bureau of Transportation Statistics"
WEATHER = "ASOS network"
REGISTRY = "Federal Aviation Administration"
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
ORIGINS = ("EWR", "JFK", "LGA")
DESTINATIONS = (
    "ABQ", "ACK", "ALB", "ANC", "ATL", "AUS", "AVL", "BDL", "BGR", "BHM", "BNA", "BOS", "BQN", "BTV", "BUF", "BUR",
    "BWI", "BZN", "CAE", "CAK", "CHO", "CHS", "CLE", "CLT", "CMH", "CRW", "CVG", "DAY", "DCA", "DEN", "DFW", "DSM",
    "DTW", "EGE", "EYW", "FLL", "GRR", "GSO", "GSP", "HDN", "HNL", "HOU", "IAD", "IAH", "ILM", "IND", "JAC", "JAX",
    "LAS", "LAX", "LEX", "LGA", "LGB", "MCI", "MCO", "MDW", "MEM", "MHT", "MIA", "MKE", "MSN", "MSP", "MSY", "MTJ",
    "MVY", "MYR", "OAK", "OKC", "OMA", "ORD", "ORF", "PBI", "PDX", "PHL", "PHX", "PIT", "PSE", "PSP", "PVD", "PWM",
    "RDU", "RIC", "ROC", "RSW", "SAN", "SAT", "SAV", "SBN", "SDF", "SEA", "SFO", "SJC", "SJU", "SLC", "SMF", "SNA",
    "SRQ", "STL", "STT", "SYR", "TPA", "TUL", "TVC", "TYS", "XNA",
)  # fmt: skip
AIRCRAFT_TYPES = ("Fixed wing multi engine", "Fixed wing single engine", "Rotorcraft")
MOST_UNKNOWN = 0.01  # of carriers and destinations: a new one does not stop the wheel, and is told as unknown
MOST_MINUTES = 2_000.0  # of a delay; the longest of 2013 is 1,272
YEAR_MINUTES = 366.0 * 24 * 60


def _column(name: str, kind: ColumnType, role: Role, owner: str, description: str, **more: object) -> Column:
    return Column(name=name, type=kind, role=role, owner=owner, description=description, **more)  # type: ignore[arg-type]


def _number(name: str, owner: str, unit: str, description: str, **more: object) -> Column:
    return _column(name, "float64", "feature", owner, description, unit=unit, **more)


ASKED = (
    _column("flight", "string", "id", CARRIER, "local day, carrier, number and origin"),
    _column(
        "event_timestamp", "timestamp", "time", "Noria", "moment of prediction: two hours before departure", unit="UTC"
    ),
    _column(
        "carrier",
        "string",
        "feature",
        CARRIER,
        "airline, by its IATA code",
        choices=CARRIERS,
        maximum_null_share=MOST_UNKNOWN,
    ),
    _column("origin", "string", "feature", CARRIER, "airport of departure", choices=ORIGINS),
    _column(
        "dest",
        "string",
        "feature",
        CARRIER,
        "airport of arrival",
        choices=DESTINATIONS,
        maximum_null_share=MOST_UNKNOWN,
    ),
    _column("tailnum", "string", "key", CARRIER, "registration of the aircraft", maximum_null_share=0.05),
    _number("distance", CARRIER, "mile", "between the airports", minimum=0.0, maximum=12_000.0),
    _column(
        "scheduled_hour", "int64", "feature", CARRIER, "of departure, in New York", unit="hour", minimum=0, maximum=23
    ),
    _column("weekday", "int64", "feature", CARRIER, "of departure, in New York, from Monday", minimum=0, maximum=6),
)

ANSWERED = (
    _column("label", "int64", "label", CARRIER, "1 if 15 minutes late or more", unit="class", minimum=0, maximum=1),
    _column("label_timestamp", "timestamp", "known", CARRIER, "moment of landing", unit="UTC"),
    _column("aircraft_day", "string", "group", "Noria", "what one aircraft flew on one local day"),
)


def _weather() -> Iterator[Column]:
    for name, unit, low, high, missing in (
        ("temperature", "°F", -40, 130, 0.1),
        ("dew_point", "°F", -60, 100, 0.1),
        ("humidity", "%", 0, 100, 0.1),
        ("wind_direction", "°", 0, 360, 0.2),
        ("wind_speed", "mile/h", 0, 150, 0.1),
        ("wind_gust", "mile/h", 0, 200, 1.0),  # missing where none was reported, which may be for days
        ("precipitation", "inch", 0, 15, 0.1),
        ("pressure", "mbar", 900, 1100, 0.5),  # not reported in rain and snow
        ("visibility", "mile", 0, 100, 0.1),
    ):
        what = f"{name.replace('_', ' ')} at the origin"
        yield _number(f"weather_{name}", WEATHER, unit, what, minimum=low, maximum=high, maximum_null_share=missing)


def _aircraft() -> Iterator[Column]:
    yield _column(
        "aircraft_type",
        "string",
        "feature",
        REGISTRY,
        "kind of aircraft",
        choices=AIRCRAFT_TYPES,
        maximum_null_share=0.4,
    )
    for name, owner, unit, what, low, high, missing in (
        ("engines", REGISTRY, "", "engines", 0, 8, 0.4),
        ("seats", REGISTRY, "", "seats", 0, 1000, 0.4),
        ("year", REGISTRY, "year", "year of make", 1900, 2100, 0.4),
        ("arrival_delay", CARRIER, "minute", "delay of its last arrival", -MOST_MINUTES, MOST_MINUTES, 0.8),
        ("turn_round", CARRIER, "minute", "from the landing before to that flight", 0, YEAR_MINUTES, 0.9),
        ("idle", CARRIER, "minute", "since its last landing", 0, YEAR_MINUTES, 0.8),
    ):
        yield _number(f"aircraft_{name}", owner, unit, what, minimum=low, maximum=high, maximum_null_share=missing)


def _traffic() -> Iterator[Column]:
    """Counts may be missing, before a key's first landing, and so are floats; shares and means are if none landed."""
    for view in VIEWS:
        of = view.replace("_", " ")
        for window in WINDOWS:
            for what, unit, low, high in (
                ("flights", "", 0.0, 100_000.0),
                ("late_share", "", 0.0, 1.0),
                ("mean_delay", "minute", -MOST_MINUTES, MOST_MINUTES),
            ):
                text = f"{what.replace('_', ' ')} of what landed in the last {window}, by {of}"
                # No flight of a route, or of a small carrier, lands every three hours.
                yield _number(
                    f"{view}_{what}_{window}", "Noria", unit, text, minimum=low, maximum=high, maximum_null_share=0.9
                )


EVENTS = Schema(columns=(*ASKED, *ANSWERED))
ROWS = Schema(columns=(*ASKED, *_weather(), *_aircraft(), *_traffic(), *ANSWERED))
