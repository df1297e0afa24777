from __future__ import annotations

import io
import os
import termios
from pathlib import Path
from typing import TextIO

import pytest

from batchpost.output import Line, Output, Steady, one_line, plain_text, wrapped


class Broken(io.StringIO):
    """A stream whose reader is gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.fixture
def pipe() -> TextIO:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert plain_text("a\x1b[2Jb\r\nc\u202ed\ttwo\nlines") == "a [2Jb \nc d two\nlines"


def test_a_name_within_a_line_ends_none() -> None:
    assert one_line("a\nb\r\n\x1b[2J\u2028c\ud800") == "a b   [2J c "


def test_results_and_messages_go_to_streams_of_their_own() -> None:
    out, err = io.StringIO(), io.StringIO()
    output = Output(out, err)
    output.say("books")
    output.tell("a message")
    assert (out.getvalue(), err.getvalue()) == ("books\n", "a message\n")


@pytest.mark.parametrize("stream", [None, Broken()])
def test_a_stream_without_a_reader_takes_everything_and_says_nothing(stream: TextIO | None) -> None:
    steady = Steady(stream)
    assert steady.write("lost") == 4
    steady.writelines(["a", "b"])
    steady.flush()
    assert steady.isatty() is False
    assert steady.binary().write(b"abc") == 3
    with pytest.raises(OSError, match="no stream"):
        steady.fileno()


def test_a_closed_pipe_is_given_up_at_once_and_for_good(pipe: TextIO) -> None:
    steady = Steady(pipe)
    steady.write("x")
    steady.flush()
    assert os.fstat(pipe.fileno()).st_rdev == Path(os.devnull).stat().st_rdev
    pipe.close()  # flushing it again is no error any more


def test_bytes_to_a_closed_pipe_are_dropped(pipe: TextIO) -> None:
    binary = Steady(pipe).binary()
    assert binary.writable()
    assert [binary.write(b"line\n") for _ in range(3)] == [5, 5, 5]
    pipe.close()


def test_bytes_arrive_behind_the_text_before_them(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        steady = Steady(file)
        steady.write("text\n")
        steady.binary().write(b"\xff\n")
        assert steady.fileno() == file.fileno()
    assert (tmp_path / "out").read_bytes() == b"text\n\xff\n"


def test_names_that_the_locale_cannot_write_are_escaped(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        Output(file, file).say("Müller")
    assert (tmp_path / "out").read_text() == "M\\xfcller\n"


class Terminal(io.StringIO):
    """Somebody looks at it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def colourful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


LINES = [Line("bad\x1b[2J\nnews", "trouble"), Line("plain"), Line("", "strong")]


@pytest.mark.usefixtures("colourful")
def test_lines_have_colours_on_a_terminal_and_the_same_text_elsewhere() -> None:
    terminal, file = Terminal(), io.StringIO()
    Output(terminal).show(LINES)
    Output(file).show(LINES)
    assert terminal.getvalue() == "\x1b[33mbad [2J news\x1b[0m\nplain\n\n"
    assert file.getvalue() == "bad [2J news\nplain\n\n"


@pytest.mark.usefixtures("colourful")
@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "")])
def test_who_wants_no_colours_gets_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    terminal = Terminal()
    Output(terminal).show(LINES)
    assert "\x1b" not in terminal.getvalue()
    assert Steady(terminal).paints == (name == "NO_COLOR")


def test_only_a_terminal_has_a_size(tmp_path: Path) -> None:
    assert Steady(io.StringIO()).size == Steady(None).size == (0, 0)
    assert Steady(Terminal()).size == (80, 24)  # one that does not say
    leader, follower = os.openpty()
    with os.fdopen(leader, "wb"), os.fdopen(follower, "w") as stream:
        termios.tcsetwinsize(stream.fileno(), (30, 101))
        assert Steady(stream).size == (101, 30)


def test_a_long_line_is_broken_between_words_and_keeps_its_look() -> None:
    line = Line("one two three four five six seven", "strong")
    assert wrapped(line, 0) == [line]
    assert wrapped(line, 24, indent="  ") == [Line("one two three four five", "strong"), Line("  six seven", "strong")]
    assert wrapped(Line("x" * 50), 24) == [Line("x" * 50)]
    assert wrapped(Line(""), 24) == [Line("")]
