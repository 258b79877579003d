"""Definitions: what Feast's own command finds, with the tables below NORIA_HOME; `python -m feature_repo apply`."""

from __future__ import annotations

from feature_repo import flights
from feature_repo.opening import tables_folder

_flights = flights.define(tables_folder(flights.SERVICE))

carrier, origin, dest, tailnum = _flights.entities
origin_weather, aircraft, carrier_origin, route, origin_congestion = _flights.views
flights_v1 = _flights.service
