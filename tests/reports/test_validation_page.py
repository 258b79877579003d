"""The validation page names every finding, shows rows, and stays small."""

from __future__ import annotations

import dataclasses

import pytest
from known_reports import CONTEXT, check_alone, text_of

from noria.ml.dictionary import ColumnFacts
from noria.ml.findings import Example, Finding, Findings, Severity
from noria.reports.validation import validation_page

FLOW = ColumnFacts(
    name="flow", type="float32", shape=(), unit="l/s", description="at the inlet", role="feature", personal="none",
    owner="the waterworks", rows=500, null_share=0.02, maximum_null_share=0.01, minimum=-1.0, maximum=50.0,
    observed_minimum=-3.5, observed_maximum=44.0, distinct=480,
)  # fmt: skip


def finding_of(
    rule: str, rows: int, severity: Severity = "violation", value: str = "99.0", column: str = "flow"
) -> Finding:
    return Finding(
        rule=rule, column=column, severity=severity, rows=rows, found=f"{rows} rows out of range",
        expected="-1 to 50 l/s",
        examples=tuple(
            Example(row=row, id=f"item-{row}", time=f"2025-01-01T00:{row % 60:02d}:00.000000", value=value)
            for row in range(min(rows, 100))
        ),
    )  # fmt: skip


def page_of(*findings: Finding) -> str:
    return validation_page(Findings(rows=500, findings=findings), (FLOW,), CONTEXT)


def test_clean_data_are_accepted_and_described() -> None:
    page = page_of()
    check_alone(page)
    text = text_of(page)
    for told in ("Data accepted", "All rules hold for the 500 rows.", "Nothing was found.", "flow", "at the inlet"):
        assert told in text
    for told in ("−1 to 50", "−3.5 to 44", "2.00\u202f%at most 1.00\u202f%", "480", "l/s", "the waterworks"):
        assert told in text


def test_violations_come_first_with_counts_and_a_hundred_rows() -> None:
    page = page_of(finding_of("drift-notice", 3, "notice"), finding_of("range", 153))
    check_alone(page)
    text = text_of(page)
    assert "✕ Data refused" in text
    assert "1 violation stops the run on 500 rows: range; 1 notice beside." in text
    assert text.index("✕ violation") < text.index("○ notice")
    assert "100 of 153 rows" in text
    assert "item-99" in text
    assert "2025-01-01 00:59:00" in text
    assert "✕ 1 violation" in text[text.index("Data dictionary") :]


def test_notices_alone_do_not_refuse() -> None:
    text = text_of(page_of(finding_of("leakage", 2, "notice")))
    assert "Data accepted" in text
    assert "1 notice is worth a look" in text


def test_a_flood_of_findings_stays_on_a_small_page() -> None:
    evil = "<script>\"'&" * 5
    page = page_of(*(finding_of(f"rule-{number}", 5000, value=evil) for number in range(900)))
    check_alone(page)
    text = text_of(page)
    assert "900 violations stop the run" in text
    assert "600 further findings stand in the JSON file" in text


def test_texts_from_data_cannot_become_markup() -> None:
    evil = "<script>alert(1)</script>"
    finding = dataclasses.replace(finding_of(evil, 3, value=evil, column=evil), found=evil, expected=evil)
    facts = dataclasses.replace(FLOW, name=evil, unit=evil, description=evil)
    page = validation_page(Findings(rows=3, findings=(finding,)), (facts,), dataclasses.replace(CONTEXT, task=evil))
    check_alone(page)
    text_of(page)
    assert evil not in page


def test_equal_findings_make_equal_bytes() -> None:
    assert page_of(finding_of("range", 9)) == page_of(finding_of("range", 9))


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(None, None, "–"), (0.0, None, "from 0"), (None, 5.0, "up to 5"),
     ("2025-01-01T00:00:00.000000", "2025-01-02T00:00:00.5", "2025-01-01 00:00:00 to 2025-01-02T00:00:00.5")],
)  # fmt: skip
def test_bounds_are_written_as_far_as_they_are_known(low: float | None, high: float | None, shown: str) -> None:
    facts = dataclasses.replace(FLOW, observed_minimum=low, observed_maximum=high)
    assert f"<td>{shown}</td>" in validation_page(Findings(rows=1, findings=()), (facts,), CONTEXT)
