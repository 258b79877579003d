"""Progress: what a step tells is read back as it was said."""

from noria.ml.progress import MARK, Message, parse, reporter
from noria.steps.running import FAILED, Event, parse_event


def test_a_message_is_read_back_from_the_middle_of_a_line(capsys):
    reporter("train")("epoch 2/12", 0.25)
    line = "    " + capsys.readouterr().out.strip()
    assert parse(line) == Message(step="train", text="epoch 2/12", done=0.25)


def test_other_lines_are_no_messages():
    assert parse("training") is None
    assert parse(MARK + "{torn") is None


def test_an_event_is_read_back():
    line = f'  {FAILED}{{"step":"train","error":"TrainingError","message":"no rows","exit_code":1}}'
    mark, event = parse_event(line)
    assert (mark, event) == (FAILED, Event(step="train", error="TrainingError", message="no rows", exit_code=1))
    assert parse_event(f"{FAILED}{{torn") is None
    assert parse_event("nothing") is None
