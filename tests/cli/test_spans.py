"""Spans: a plan for days that the data do not have is refused as soon as the data are known."""

import pytest
from noria_command import Noria

pytestmark = pytest.mark.xdist_group("outsider")

LONGER = ("--param", "end=2026-04-01", "--param", "epochs=1", "--param", "requests=100")  # the bottles end in March
PLAN = ("plan", "--task", "wine", "--json", *LONGER)


def test_once_the_data_are_known_a_plan_for_more_days_than_they_have_is_refused(wine: Noria) -> None:
    assert wine(*PLAN, "--param", "holdout_days=50").code == 0, "nothing is known yet but the window"
    first = wine.run(*LONGER)
    assert first.code in (0, 3), first.err
    refused = wine(*PLAN, "--param", "holdout_days=50")
    assert (refused.code, refused.told["kind"]) == (2, "UsageError"), refused.err
    assert (
        "validation_days is 10 and holdout_days 50: expected fewer together than the 60 days of the data, "
        "2026-01-01 to 2026-03-01"
    ) in refused.told["error"]
    assert wine(*PLAN, "--param", "holdout_days=49").code == 0
    other = wine(*PLAN, "--param", "holdout_days=50", "--param", "start=2026-01-02")
    assert other.code == 0, "of another window's data nothing is known"
