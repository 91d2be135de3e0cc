"""How a simulation shows itself where there is no terminal."""

import io

from infra.cli.showing import Drawing, Lines


def test_in_a_log_what_changes_is_told_only_now_and_then() -> None:
    told: list[str] = []
    lines = Lines(told.append)

    lines.say("Enrolment is closed.")
    for number in range(100):
        lines.joining(number, 100, 0)
        lines.reporting(f"{number}")

    assert told == ["Enrolment is closed."]


def test_on_a_terminal_brackets_in_a_reason_are_no_markup() -> None:
    stream = io.StringIO()
    drawing = Drawing(stream)

    drawing.joining(1, 2, 0)
    drawing.say("1 x [bold] reason")
    drawing.close()

    assert "1 x [bold] reason\n" in stream.getvalue()
