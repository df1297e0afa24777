from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import combinations

import click
import pytest

from batchpost.errors import BatchpostError, InputRefused, JobError, Locked, Mistake, NoInput
from batchpost.failures import (
    Terminated,
    failure,
    heed_signals,
    internal_error,
    most_urgent,
    stop_if_told,
    tell_failure,
    traceback_text,
)
from batchpost.output import Output

CONTRACT = (130, 143, 70, 4, 69, 6, 3, 1, 0)


def raised(error: BaseException) -> BaseException:
    """The error with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(("urgent", "other"), [*combinations(CONTRACT, 2)])
def test_of_several_codes_the_first_in_the_contracts_order_counts(urgent: int, other: int) -> None:
    assert most_urgent([other, urgent]) == most_urgent([urgent, other, 0]) == urgent


def test_what_a_person_must_mend_counts_before_what_time_mends() -> None:
    assert [most_urgent(codes) for codes in ((66, 5), (75, 2), (2, 4), (1, 66), ())] == [5, 2, 4, 66, 0]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobError([Mistake("a", "b"), Mistake("c", "d")]), 2),
        (InputRefused("a.csv", "is torn"), 5),
        (NoInput("nothing there"), 66),
        (Locked("held"), 75),
        (click.UsageError("what?"), 2),
    ],
)
def test_errors_made_for_people_keep_their_text_and_code(error: BatchpostError, code: int) -> None:
    text = error.format_message() if isinstance(error, click.ClickException) else str(error)
    assert failure(error) == (text, code)


@pytest.mark.parametrize(
    ("error", "code", "name"), [(KeyboardInterrupt(), 130, "SIGINT"), (Terminated(), 143, "SIGTERM")]
)
def test_a_signal_says_whether_anything_was_sent(error: BaseException, code: int, name: str) -> None:
    assert failure(error) == (f"Stopped by {name}. Nothing was sent", code)
    assert failure(error, sending=True)[0].startswith(f"Stopped by {name}. What was sent is recorded")
    abort = click.Abort()
    abort.__cause__ = error
    assert failure(abort) == failure(error)


def test_a_disk_that_fails_is_exit_2_before_and_4_after_the_first_request() -> None:
    error = PermissionError(13, "Permission denied", "/srv/results")
    assert failure(error) == ("/srv/results: Permission denied. Nothing was sent", 2)
    assert failure(error, sending=True)[1] == 4
    assert failure(OSError(28, "No space left on device"))[0] == "No space left on device. Nothing was sent"


@pytest.mark.parametrize(
    "make",
    [
        lambda: raised(ValueError("ada@mail.example.com")),
        lambda: raised(OSError("ada@mail.example.com")),
        lambda: ExceptionGroup("ada@mail.example.com", [raised(ValueError("ada@mail.example.com"))]),
    ],
)
def test_a_bug_is_told_by_type_and_place_without_its_text(make: Callable[[], Exception]) -> None:
    text, code = failure(make())
    assert code == 70
    assert "example.com" not in text
    assert " at test_failures.py:" in text
    assert "BATCHPOST_DEBUG=1" in text


def test_the_place_of_a_bug_is_in_our_own_code() -> None:
    with pytest.raises(ValueError, match="not in tuple") as caught:
        most_urgent([99, 0])
    assert "ValueError at failures.py:" in internal_error(caught.value)


def test_a_bugs_traceback_is_shown_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    assert tell_failure(raised(ValueError("secret")), Output(io.StringIO(), err)) == 70
    assert "secret" not in err.getvalue()
    monkeypatch.setenv("BATCHPOST_DEBUG", "1")
    tell_failure(raised(ValueError("secret")), Output(io.StringIO(), err))
    assert "\nValueError\n" in err.getvalue()
    assert "in raised\n    raise error\n" in err.getvalue()


def test_a_traceback_has_every_cause_and_no_text_of_any() -> None:
    inner = raised(KeyError("ada@mail.example.com"))
    outer = raised(ExceptionGroup("ada@mail.example.com", [raised(ValueError("ada@mail.example.com"))]))
    outer.__cause__ = inner
    hidden = raised(TypeError("ada@mail.example.com"))
    hidden.__context__, hidden.__suppress_context__ = OSError(2, "ada@mail.example.com"), True
    assert "example.com" not in traceback_text(outer) + traceback_text(hidden)
    assert [line for line in traceback_text(outer).splitlines() if "Error" in line or "Group" in line] == [
        "KeyError",
        "ValueError",
        "ExceptionGroup",
    ]
    assert "OSError" not in traceback_text(hidden)


@pytest.mark.parametrize(
    "error",
    [
        InputRefused('a\n{"event": "run_finished"}', "is\x1b[2J torn"),
        NoInput("a\r\nb\u2028c"),
        OSError(2, "No such file", "a\nb"),
        click.UsageError("no such option: --a\nb"),
        JobError([Mistake("a", "the input has no column", hint='did you mean "x\ny"?')]),
    ],
)
def test_a_name_in_a_message_begins_no_line_of_its_own(error: Exception) -> None:
    assert failure(error)[0].isprintable()


def test_a_list_of_mistakes_stands_alone_and_one_line_names_its_job() -> None:
    err = io.StringIO()
    output = Output(io.StringIO(), err)
    tell_failure(JobError([Mistake("a", "b"), Mistake("c", "d")]), output, about="nightly")
    tell_failure(NoInput("nothing there"), output, about="nightly")
    assert err.getvalue() == "a: b\nc: d\nnightly: nothing there\n"


@pytest.fixture
def heeding() -> Iterator[None]:
    """The program's own signal handlers; afterwards as before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = sys.unraisablehook
    heed_signals()
    yield
    heed_signals()  # forgets what came
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


SIGNALS = [(signal.SIGTERM, Terminated, 143), (signal.SIGINT, KeyboardInterrupt, 130)]


@pytest.mark.parametrize(("number", "kind", "code"), SIGNALS)
def test_a_signal_ends_the_program(heeding: None, number: int, kind: type[BaseException], code: int) -> None:
    with pytest.raises(kind) as caught:
        signal.raise_signal(number)
    assert failure(caught.value)[1] == code


@pytest.mark.parametrize(("number", "kind", "code"), SIGNALS)
def test_a_signal_that_a_library_made_another_error_of_is_no_bug(
    heeding: None, number: int, kind: type[BaseException], code: int
) -> None:
    with suppress(kind):
        signal.raise_signal(number)
    assert failure(TypeError("unexpected value"))[1] == code
    assert failure(InputRefused("in.csv", "unsound"))[1] == 5


@pytest.mark.parametrize(("number", "kind", "code"), SIGNALS)
def test_a_signal_that_a_library_swallowed_is_heard_before_anything_is_sent(
    heeding: None, number: int, kind: type[BaseException], code: int
) -> None:
    stop_if_told()
    with suppress(kind):
        signal.raise_signal(number)
    with pytest.raises(kind):
        stop_if_told()


def test_an_interrupt_that_could_not_be_raised_is_not_told_as_an_error(
    heeding: None, capsys: pytest.CaptureFixture[str]
) -> None:
    class Ignoring:
        def __init__(self, error: type[BaseException]) -> None:
            self.error = error

        def __del__(self) -> None:
            raise self.error

    Ignoring(Terminated)
    assert capsys.readouterr().err == ""
    Ignoring(ValueError)
    assert "ValueError" in capsys.readouterr().err
