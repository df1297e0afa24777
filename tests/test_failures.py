from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import click
import pytest

from batchpost.errors import (
    BatchpostError,
    CutShort,
    InputRefused,
    JobError,
    LedgerError,
    Locked,
    Mistake,
    NoInput,
    SecretError,
    UsageError,
)
from batchpost.failures import (
    Situation,
    Terminated,
    failure,
    heed_signals,
    internal_error,
    last_words,
    most_urgent,
    stop_if_told,
    tell_failure,
    traceback_text,
)
from batchpost.history import DamagedJournal
from batchpost.output import Output

MISTAKE = Mistake("fields.revenue", "is missing", 3, path="j.toml")
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
def test_a_signal_is_told_by_its_name(error: BaseException, code: int, name: str) -> None:
    assert failure(error) == (f"Stopped by {name}", code)
    abort = click.Abort()
    abort.__cause__ = error
    assert failure(abort) == failure(error)


def test_a_disk_that_fails_is_exit_2_before_and_4_after_the_first_request() -> None:
    error = PermissionError(13, "Permission denied", "/srv/results")
    assert failure(error) == ("/srv/results: Permission denied. See who may read and write it, and its folder", 2)
    assert failure(error, sending=True)[1] == 4
    assert failure(OSError(28, "No space left on device"))[0] == "No space left on device. Make room on its disk"
    assert failure(OSError(5, "Input/output error", "a.db"))[0] == "a.db: Input/output error"


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
    assert text.endswith("This is a bug of batchpost")


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
    tell_failure(JobError([MISTAKE, Mistake("c", "d")]), output, about="nightly")
    tell_failure(NoInput("nothing there"), output, about="nightly")
    assert err.getvalue() == "c: d\nj.toml:3: fields.revenue: is missing\n2 mistakes\nnightly: nothing there\n"


def test_a_mistake_is_told_with_its_file_as_it_is_seen_from_here() -> None:
    here = Path.cwd()
    assert failure(JobError([Mistake("a", "b", 3, path=str(here / "jobs/x.toml"))]))[0] == "jobs/x.toml:3: a: b"
    assert failure(JobError([Mistake("a", "b", path="/srv/x.toml")]))[0] == "/srv/x.toml: a: b"


# -- the last line -----------------------------------------------------------------------------------------------------

SENDING = Situation(
    "batchpost run j.toml",
    help="batchpost run --help",
    check="batchpost check j.toml",
    plan="batchpost plan j.toml",
    sends=True,
    waits=True,
)
LOOKING = replace(SENDING, command="batchpost show latest", help="batchpost show --help", sends=False, waits=False)
MADE: dict[type[BatchpostError], BatchpostError] = {
    JobError: JobError([MISTAKE]),
    InputRefused: InputRefused("in.csv", "is torn"),
    DamagedJournal: DamagedJournal(Path("runs/R1/sitting-0001.log"), "damaged"),
}
OTHERS = (
    click.UsageError("what?"),
    click.BadParameter("what?"),
    click.FileError("a"),
    click.Abort(),
    KeyboardInterrupt(),
    Terminated(),
    EOFError(),
    OSError(28, "No space left on device"),
    OSError("a library's own"),
    ValueError(),
    MemoryError(),
    BaseExceptionGroup("", [ValueError()]),
)


def kinds(kind: type[BatchpostError] = BatchpostError) -> Iterator[type[BatchpostError]]:
    """Every error of the program's own."""
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


EVERY = [*(MADE.get(kind) or kind("what is wrong") for kind in kinds()), *OTHERS]


@pytest.mark.parametrize("sending", [SENDING, Situation(sends=True), replace(SENDING, begun=True)])
@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_whatever_ends_a_command_that_sends_has_a_last_line(error: BaseException, sending: Situation) -> None:
    begun = sending.begun or isinstance(error, CutShort)
    told, _, then = last_words(error, sending).partition(" Next: ")
    assert told == f"Safe to repeat: yes. {'What was sent is recorded' if begun else 'Nothing was sent'}."
    assert "batchpost" in then
    assert "{" not in then


NEXT: list[tuple[BaseException, str]] = [
    (UsageError("a"), "mend that, then batchpost run j.toml"),
    (UsageError("a", then="{help}"), "batchpost run --help"),
    (click.UsageError("a"), "batchpost run --help"),
    (JobError([MISTAKE]), "batchpost check j.toml"),
    (JobError([Mistake("--rate", "a")]), "batchpost run --help"),
    (SecretError("a"), "batchpost check j.toml"),
    (LedgerError("a", then="restore it, then {run}"), "restore it, then batchpost run j.toml"),
    (InputRefused("a", "b"), "batchpost plan j.toml"),
    (NoInput("a"), "batchpost run j.toml --wait 2h"),
    (Locked("a"), "batchpost run j.toml --wait 2h"),
    (CutShort("a"), "mend that, then batchpost run j.toml"),
    (OSError(28, "a"), "mend that, then batchpost run j.toml"),
    (KeyboardInterrupt(), "batchpost run j.toml"),
    (ValueError("a"), "BATCHPOST_DEBUG=1 batchpost run j.toml, and report what it says"),
]


@pytest.mark.parametrize(("error", "then"), NEXT)
def test_the_last_line_says_what_to_do_next(error: BaseException, then: str) -> None:
    assert last_words(error, SENDING).endswith(f" Next: {then}")


def test_a_bug_that_was_shown_already_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHPOST_DEBUG", "1")
    assert last_words(ValueError(), SENDING).endswith("Next: report the lines above, and what was done")


def test_who_waited_already_is_not_told_to_wait_longer() -> None:
    waited = replace(SENDING, command="batchpost run j.toml --wait 5m")
    assert last_words(NoInput("a"), waited).endswith(" Next: batchpost run j.toml --wait 5m")


def test_without_a_job_there_is_nothing_to_check_or_to_plan() -> None:
    retrying = Situation("batchpost retry R1", sends=True)
    for error in (JobError([MISTAKE]), InputRefused("a", "b")):
        assert last_words(error, retrying).endswith(" Next: mend that, then batchpost retry R1")


def test_a_command_that_looks_says_only_what_is_something_else_than_itself() -> None:
    told = [
        last_words(error, LOOKING) for error in (UsageError("a"), NoInput("a"), KeyboardInterrupt(), OSError(2, "a"))
    ]
    assert told == [""] * 4
    assert last_words(LedgerError("a", then="restore it, then {run}"), LOOKING) == ""
    assert last_words(UsageError("a", then="batchpost runs"), LOOKING) == "Next: batchpost runs"
    assert last_words(click.UsageError("a"), LOOKING) == "Next: batchpost show --help"
    assert last_words(ValueError(), LOOKING).startswith("Next: BATCHPOST_DEBUG=1 batchpost show latest")


def test_no_name_in_advice_begins_a_line_or_stands_for_a_command() -> None:
    odd = UsageError("a", then="batchpost run a\n{run} {other}")
    assert last_words(odd, SENDING).endswith("Next: batchpost run a batchpost run j.toml {other}")
    assert last_words(odd, SENDING).isprintable()


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
