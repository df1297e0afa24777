from __future__ import annotations

import io
import time

import pytest

from batchpost.livelines import LiveLines
from batchpost.output import Line, Steady


class Terminal(io.StringIO):
    """Somebody looks at it; ``width`` by ``height``."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def screen(written: str, width: int = 80) -> list[str]:
    """What a terminal shows that was sent this text, with the cursor at its place; it knows no more than it must."""
    rows, row, column, at = [""], 0, 0, 0
    while at < len(written):
        for sign in ("\x1b[?7l", "\x1b[?7h", "\x1b[J", "\x1b[K", "\x1b["):
            if written.startswith(sign, at):
                break
        else:
            sign = written[at]
        at += len(sign)
        if sign == "\x1b[":  # up so many lines
            end = written.index("A", at)
            row, at = row - int(written[at:end]), end + 1
        elif sign == "\x1b[J":
            rows[row:] = [rows[row][:column]]
        elif sign == "\x1b[K":
            rows[row] = rows[row][:column]
        elif sign == "\r":
            column = 0
        elif sign == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif len(sign) == 1 and column < width:
            rows[row] = rows[row][:column].ljust(column) + sign + rows[row][column + 1 :]
            column += 1
    return [*rows[:row], rows[row][:column] + "|" + rows[row][column:], *rows[row + 1 :]]


def lines_of(*texts: str) -> list[Line]:
    return [Line(text) for text in texts]


def live(shown: list[list[Line]]) -> tuple[LiveLines, Terminal]:
    terminal = Terminal()
    return LiveLines(Steady(terminal), lambda width: shown[0]), terminal


@pytest.fixture(autouse=True)
def without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")


def test_lines_are_painted_over_each_other_with_the_cursor_at_their_start() -> None:
    shown = [lines_of("one of three", "two", "three")]
    painter, terminal = live(shown)
    painter.paint()
    assert screen(terminal.getvalue()) == ["|one of three", "two", "three"]
    shown[0] = lines_of("1", "2 of two")
    painter.paint()
    assert screen(terminal.getvalue()) == ["|1", "2 of two"]


def test_they_go_away_and_what_follows_stands_in_their_place() -> None:
    painter, terminal = live([lines_of("one", "two")])
    terminal.write("before\r\n")
    painter.paint()
    painter.stop()
    terminal.write("after")
    assert screen(terminal.getvalue()) == ["before", "after|"]


def test_where_nothing_was_painted_nothing_is_written() -> None:
    painter, terminal = live([[]])
    painter.paint()
    painter.stop()
    assert terminal.getvalue() == ""


def test_a_line_that_is_too_long_does_not_wrap() -> None:
    painter, terminal = live([lines_of("x" * 200, "y")])
    painter.paint()
    assert terminal.getvalue().startswith("\x1b[?7l")
    assert terminal.getvalue().endswith("\x1b[?7h")
    assert screen(terminal.getvalue(), 80) == ["|" + "x" * 80, "y"]


def test_lines_that_a_narrower_terminal_has_broken_are_painted_over_whole() -> None:
    """The cursor is at the start of the first line whatever became of the lines; here the terminal has broken each."""
    painter, terminal = live([lines_of("narrow", "now")])
    terminal.write("before\r\nwas a lo\r\nng line\r\nand anot\r\nher one\x1b[3A\r")
    painter.paint()
    assert screen(terminal.getvalue()) == ["before", "|narrow", "now"]


def test_no_more_lines_are_painted_than_the_terminal_has_room_for() -> None:
    painter, terminal = live([lines_of(*map(str, range(60)))])
    painter.paint()
    assert len(screen(terminal.getvalue())) == 23  # of 24 lines, where the terminal does not say how many it has


def test_control_characters_in_a_line_move_no_cursor() -> None:
    painter, terminal = live([lines_of("reading x\x1b[2J\ny.csv")])
    painter.paint()
    assert screen(terminal.getvalue()) == ["|reading x [2J y.csv"]


def test_a_thread_paints_until_it_is_told_to_stop_and_can_be_started_again() -> None:
    asked = []
    terminal = Terminal()
    painter = LiveLines(Steady(terminal), lambda width: asked.append(width) or lines_of("here"), every=0.001)
    for times in (1, 2):
        painter.start()
        painter.start()  # is no second thread
        deadline = time.monotonic() + 20
        while len(asked) < 3 * times and time.monotonic() < deadline:
            time.sleep(0.001)
        painter.stop()
        painted = len(asked)
        assert painted >= 3 * times
        assert screen(terminal.getvalue()) == ["|"]
    assert len(asked) == painted
    assert set(asked) == {79}
