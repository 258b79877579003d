"""Laptop: what kfp.local says is heard line by line."""

from pipelines.laptop import Lines, cached_step


def test_lines_come_whole_however_they_are_written():
    heard = []
    stream = Lines(heard.append)
    for part in ("one\ntw", "o", "\n\nthr", "\x1b[96mee\x1b[0m\n", "rest"):
        stream.write(part)
    assert heard == ["one", "two", "", "three"]


def test_a_cache_hit_is_heard_in_either_form():
    assert cached_step("Task train cache hit (key=0123); skipping execution.") == "train"
    assert cached_step("04:05:59 - INFO - Task 'train' cache hit (key=0123)") == "train"
    assert cached_step("Task train finished") is None
