"""Corpus: requests that a predictor must refuse, each with what the refusal must say."""

from __future__ import annotations

from corpus.address_cases import address_cases
from corpus.binary_cases import binary_cases
from corpus.case import Case, RawCase
from corpus.forms import CUSTOMER, FORMS, MAX_BODY, MAX_ROWS, PICTURE, Form
from corpus.json_cases import json_cases
from corpus.packed_cases import packed_cases
from corpus.raw_cases import raw_cases
from corpus.v1_cases import v1_cases

__all__ = [
    "ADDRESSES",
    "BODIES",
    "CUSTOMER",
    "FORMS",
    "MAX_BODY",
    "MAX_ROWS",
    "PICTURE",
    "RAW",
    "Case",
    "Form",
    "RawCase",
]

BODIES: tuple[Case, ...] = (*json_cases(), *binary_cases(), *v1_cases(), *packed_cases())
ADDRESSES: tuple[Case, ...] = tuple(address_cases())
RAW: tuple[RawCase, ...] = tuple(raw_cases())
