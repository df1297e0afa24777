"""How a sitting ends early in virtual time: nothing starts any more, what is in flight is recorded, all can go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import anyio
import pytest
import trio

from batchpost.errors import InputChanged, JournalError
from batchpost.model import Repeat, Row, Stop, Target
from batchpost.transport import MaybeSent, NotSent
from tests.fakes import (
    NO_LEAD,
    OK,
    Platform,
    Sitting,
    Step,
    a_row,
    assert_recorded_before_sent,
    deliver,
    in_virtual_time,
    reply,
)

DROPPED = MaybeSent("dropped", "the connection was closed")
TERM = Stop("interrupted", "Stopped by SIGTERM", 143)
UNAUTHORIZED = Step(reply(401, {"status": "401", "message": "Unauthorized"}), 0.1)


def rows_of(count: int, repeat: Repeat = Repeat.FIRES_AGAIN) -> list[Row]:
    return [a_row(number, repeat) for number in range(count)]


def stopped_at(seconds: float, rows: list[Row], platform: Platform, /, **options: Any) -> tuple[Sitting, Stop | None]:
    """A sitting that is told to stop after so many seconds."""

    async def main() -> tuple[Sitting, Stop | None]:
        sitting = Sitting(rows, platform, **options)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tell, sitting)
            stop = await sitting.run()
        return sitting, stop

    async def tell(sitting: Sitting) -> None:
        await anyio.sleep(seconds)
        sitting.delivery.stop(TERM)

    return in_virtual_time(main)


# -- told to stop ----------------------------------------------------------------------------------------------


def test_what_is_in_flight_is_waited_for_and_recorded() -> None:
    platform = Platform(lambda number, times, now: OK._replace(latency=3.0))
    sitting, stop = stopped_at(1.0, rows_of(50), platform)
    assert stop == TERM
    assert max(platform.starts()) < 1.0
    assert sitting.ends == dict.fromkeys(range(4), ("delivered", "conversion"))


@pytest.mark.parametrize(
    ("repeat", "ends"),
    [(Repeat.FIRES_AGAIN, dict.fromkeys(range(4), ("unknown", "interrupted"))), (Repeat.REFUSED, {})],
)
def test_what_takes_longer_than_the_drain_is_a_fault(repeat: Repeat, ends: dict[int, tuple[str, str]]) -> None:
    """An event that is refused twice stays open and in doubt: the next sitting sends it again."""
    platform = Platform(lambda number, times, now: OK._replace(latency=30.0))
    sitting, stop = stopped_at(1.0, rows_of(50, repeat), platform, drain=5.0)
    assert (stop, sitting.ends) == (TERM, ends)
    if repeat is Repeat.REFUSED:
        doubts = {(record[1], *record[3:]) for record in sitting.records("again")}
        assert doubts == {(number, "interrupted", True) for number in range(4)}
    assert len(platform.requests) == 4


def test_an_attempt_that_was_still_connecting_at_the_end_of_the_drain_was_not_sent() -> None:
    platform = Platform(lambda number, times, now: Step(reply(200), 30.0, handed_over=False))
    sitting, _ = stopped_at(1.0, rows_of(4, Repeat.FIRES_AGAIN), platform, drain=5.0)
    assert sitting.ends == {}
    assert {record[3:] for record in sitting.records("again")} == {("interrupted", False)}


def test_a_retry_that_is_due_after_the_stop_is_left_open_for_the_next_sitting() -> None:
    platform = Platform(lambda number, times, now: Step(reply(500), 2.0))
    sitting, _ = stopped_at(1.0, rows_of(4, Repeat.HARMLESS), platform, max_attempts=1)
    assert (sitting.ends, len(platform.requests)) == ({}, 4)
    assert {record[3:] for record in sitting.records("again")} == {("server_error", True)}


@pytest.mark.parametrize(
    "answer",
    [
        lambda number, times, now: Step(reply(429, retry_after="600")),
        lambda number, times, now: Step(NotSent("dns", "")),
        lambda number, times, now: OK,
    ],
    ids=["paused", "circuit open", "rate"],
)
def test_a_stop_is_heard_at_once_whatever_is_waited_for(answer: Any) -> None:
    async def main() -> float:
        sitting = Sitting(rows_of(500, Repeat.HARMLESS), Platform(answer), rate=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sitting.run)
            await anyio.sleep(60.3)
            sitting.delivery.stop(TERM)
        return trio.current_time()

    assert in_virtual_time(main) <= 60.5


def test_a_sitting_that_is_stopped_before_it_runs_sends_nothing() -> None:
    async def main() -> tuple[Stop | None, Platform]:
        sitting = Sitting(rows_of(5), Platform())
        sitting.delivery.stop(TERM)
        return await sitting.run(), sitting.platform

    stop, platform = in_virtual_time(main)
    assert (stop, platform.requests) == (TERM, [])


def test_of_several_reasons_the_most_urgent_holds() -> None:
    """The token is refused while the last rows of a limit are in flight: a person must act."""
    platform = Platform(lambda number, times, now: UNAUTHORIZED._replace(latency=2.0))
    _, stop = deliver(rows_of(9), platform, rows=3)
    assert stop is not None
    assert (stop.cause, stop.exit_code) == ("unauthorized", 4)
    _, stop = stopped_at(1.0, rows_of(9), platform, rows=3)
    assert stop == TERM


# -- told beforehand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "limit", "stops"), [(20, 7, True), (7, 7, False), (3, 7, False)])
def test_a_limit_counts_rows_and_stops_only_if_some_are_left(count: int, limit: int, stops: bool) -> None:
    platform = Platform(lambda number, times, now: OK if times > 1 else Step(NotSent("dns", "")))
    sitting, stop = deliver(rows_of(count), platform, rows=limit)
    assert sorted(sitting.ends) == list(range(min(count, limit)))
    assert (stop.exit_code if stop else 0) == (6 if stops else 0)


def test_a_limit_sees_the_rows_that_are_set_aside() -> None:
    rows = [a_row(number, lane_key="A") for number in range(3)]
    sitting, stop = deliver(rows, Platform(), rows=1)
    assert list(sitting.ends) == [0]
    assert stop is not None
    assert stop.cause == "limit"


def test_nothing_starts_after_its_time() -> None:
    platform = Platform()
    sitting, stop = deliver(rows_of(1000), platform, rate=10, until=5.0)
    assert stop is not None
    assert (stop.cause, stop.exit_code) == ("until", 6)
    assert 4.7 < platform.starts()[-1] < 5.0
    assert len(sitting.ends) == len(platform.requests)


def test_a_pause_does_not_outlast_the_time() -> None:
    platform = Platform(lambda number, times, now: Step(reply(429, retry_after="800")))

    async def main() -> tuple[Stop | None, float]:
        return await Sitting(rows_of(9), platform, until=30.0).run(), trio.current_time()

    stop, at = in_virtual_time(main)
    assert stop is not None
    assert stop.cause == "until"
    assert at == pytest.approx(30, abs=1)


# -- the job is at fault ---------------------------------------------------------------------------------------


def test_a_refused_token_stops_the_run_and_the_rows_stay_open() -> None:
    platform = Platform(lambda number, times, now: UNAUTHORIZED if number >= 10 else OK)
    sitting, stop = deliver(rows_of(100, Repeat.HARMLESS), platform)
    assert stop is not None
    assert (stop.cause, stop.exit_code) == ("unauthorized", 4)
    assert sorted(sitting.ends) == list(range(10))
    refused = sorted((record[1], record[3], record[4]) for record in sitting.records("again"))
    assert refused == [(number, "unauthorized", False) for number in range(10, 10 + len(refused))]
    assert 1 <= len(refused) <= 4


def test_a_renewed_token_goes_on_and_the_refused_one_is_sent_no_more() -> None:
    """Rows that were claimed with the refused token go out with the new one, and its secret was read once."""
    new = Target("/api/lead/update/cmp_1", "cmp_1", "new-token")
    asked: list[int] = []

    def renew(row: Row) -> Row | None:
        asked.append(row.number)
        return row._replace(target=new) if row.target.token != new.token else None

    def answer(number: int, times: int, now: float) -> Step:
        return UNAUTHORIZED if number >= 10 and platform.requests[-1].token != new.token else OK

    platform = Platform(answer)
    sitting, stop = deliver(rows_of(20, Repeat.HARMLESS), platform, renew=renew)
    assert stop is None
    assert sitting.ends == dict.fromkeys(range(20), ("delivered", "conversion"))
    assert len(asked) == 1
    refused = [request for request in platform.requests if request.number >= 10 and request.token != new.token]
    assert 1 <= len(refused) <= 4


def test_of_tokens_that_are_all_refused_each_is_tried_once() -> None:
    """However the secret changes: a token that was refused before does not go out again."""
    tokens = [Target("/api/lead/update/cmp_1", "cmp_1", token) for token in ("second", "third", "second")]

    def renew(row: Row) -> Row | None:
        return row._replace(target=tokens.pop(0)) if tokens else None

    platform = Platform(lambda number, times, now: UNAUTHORIZED)
    sitting, stop = deliver(rows_of(50, Repeat.HARMLESS), platform, renew=renew)
    assert stop is not None
    assert (stop.cause, sitting.ends, tokens) == ("unauthorized", {}, [])
    sent = Counter(request.token for request in platform.requests)
    assert set(sent) == {"", "second", "third"}
    assert all(count <= 4 for count in sent.values())


@pytest.mark.parametrize(
    ("repeat", "ends"),
    [(Repeat.HARMLESS, {}), (Repeat.REFUSED, {}), (Repeat.FIRES_AGAIN, {0: ("unknown", "redirect")})],
)
def test_a_redirect_stops_the_run(repeat: Repeat, ends: dict[int, tuple[str, str]]) -> None:
    """Whoever answered it had the request: what stays open stays in doubt."""
    platform = Platform(lambda number, times, now: Step(reply(307, location="https://elsewhere.example/")))
    sitting, stop = deliver(rows_of(1, repeat), platform)
    assert stop is not None
    assert (stop.cause, stop.exit_code, sitting.ends) == ("redirect", 4, ends)
    assert [record[4] for record in sitting.records("again")] == [True] * (not ends)


@pytest.mark.parametrize(
    ("limits", "at_least", "at_most"),
    [({"max_failures": 10}, 11, 15), ({"failure_share": 0.05}, 200, 204), ({"max_failures": 0}, 1, 4)],
)
def test_too_many_failures_stop_the_run(limits: dict[str, Any], at_least: int, at_most: int) -> None:
    """A share counts from 200 settled rows on; what is in flight is still recorded."""
    platform = Platform(lambda number, times, now: Step(reply(400, NO_LEAD)))
    sitting, stop = deliver(rows_of(2000), platform, **limits)
    assert stop is not None
    assert (stop.cause, stop.exit_code) == ("max_failures", 4)
    assert at_least <= len(sitting.ends) <= at_most
    assert len(platform.requests) == len(sitting.ends)


def test_fewer_failures_than_allowed_do_not_stop_it() -> None:
    platform = Platform(lambda number, times, now: OK if number % 25 else Step(reply(400, NO_LEAD)))
    sitting, stop = deliver(rows_of(500), platform, failure_share=0.05)
    assert (stop, len(sitting.ends)) == (None, 500)


@pytest.mark.parametrize(("rows", "cause", "at_least", "at_most"), [(60, "max_failures", 51, 55), (50, "", 50, 50)])
def test_tolerated_rows_are_no_failures_up_to_their_number(rows: int, cause: str, at_least: int, at_most: int) -> None:
    platform = Platform(lambda number, times, now: Step(reply(400, NO_LEAD)))
    tolerated = {"lead_not_found": 40, "refused": 99}
    sitting, stop = deliver(rows_of(rows), platform, max_failures=10, tolerated=tolerated)
    assert (stop.cause if stop else "") == cause
    assert at_least <= len(sitting.ends) <= at_most


@pytest.mark.parametrize(
    ("limit", "at_least", "at_most"), [(10, 11, 15), (0, 1, 5), ("5%", 200, 204), ("0%", 200, 204)]
)
def test_a_reason_that_the_job_watches_stops_the_run(limit: int | str, at_least: int, at_most: int) -> None:
    """Whatever outcome it is of; a share counts from 200 settled rows on."""
    sitting, stop = deliver(rows_of(400), Platform(lambda number, times, now: OK), stop_when={"conversion": limit})
    assert stop is not None
    assert (stop.cause, stop.exit_code) == ("stop_when", 4)
    assert at_least <= len(sitting.ends) <= at_most


@pytest.mark.parametrize("watched", [{"conversion": 400}, {"conversion": "100%"}, {"timeout": 0}])
def test_a_reason_within_its_limit_does_not(watched: dict[str, int | str]) -> None:
    sitting, stop = deliver(rows_of(400), Platform(lambda number, times, now: OK), stop_when=watched)
    assert (stop, len(sitting.ends)) == (None, 400)


# -- the platform is down --------------------------------------------------------------------------------------


def test_an_outage_of_a_minute_sees_few_requests_and_then_it_goes_on() -> None:
    def answer(number: int, times: int, now: float) -> Step:
        return Step(NotSent("connect_refused", ""), 0.01) if 10 < now < 70 else OK

    platform = Platform(answer)
    sitting, stop = deliver(rows_of(300), platform, rate=20, concurrency=8)
    assert stop is None
    assert sitting.ends == dict.fromkeys(range(300), ("delivered", "conversion"))
    assert platform.effects == dict.fromkeys(range(300), 1)
    assert 5 <= sum(10 < at < 70 for at in platform.starts()) <= 30


def test_an_outage_while_requests_hang_costs_few_events() -> None:
    """Each that hangs may have fired: what was in flight, and one probe at a time while the others still come back."""

    def seconds(number: int) -> float:
        return 20.0 + number * 7 % 23

    def answer(number: int, times: int, now: float) -> Step:
        return Step(MaybeSent("timeout", ""), seconds(number)) if 10 < now < 300 else OK

    platform = Platform(answer)
    sitting, stop = deliver(rows_of(400), platform, rate=20, concurrency=16)
    assert stop is None
    assert len(sitting.ends) == 400
    hung = [request for request in platform.requests if 10 < request.at < 300]
    opened = sorted(request.at + seconds(request.number) for request in hung)[4]
    probes = [request for request in hung if request.at > opened]
    assert 4 <= len(probes) <= 290 / 20
    for probe, following in pairwise(probes):
        assert following.at >= probe.at + seconds(probe.number)
    assert len(hung) - len(probes) <= 16 + 4, "those in flight, and four that had started before the fifth failure"


def test_a_platform_that_stays_down_ends_the_run_after_half_an_hour() -> None:
    platform = Platform(lambda number, times, now: Step(NotSent("connect_refused", ""), 0.01))
    sitting, stop = deliver(rows_of(40), platform)
    assert stop is not None
    assert (stop.cause, stop.exit_code) == ("circuit_open", 69)
    assert platform.starts()[-1] > 30 * 60 - 31
    assert len(platform.requests) < 250
    assert {outcome for outcome, _ in sitting.ends.values()} <= {"failed"}


def test_every_worker_hit_at_once_leaves_the_pool_whole() -> None:
    platform = Platform(lambda number, times, now: Step(DROPPED, 0.1) if times == 1 and number < 12 else OK)
    sitting, _ = deliver(rows_of(60, Repeat.HARMLESS), platform, concurrency=4)
    assert sitting.ends == dict.fromkeys(range(60), ("delivered", "conversion"))


# -- the disk or the input fails -------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["append", "sync"])
@pytest.mark.parametrize("seconds", [0.0, 0.33, 1.07])
def test_a_journal_that_fails_stops_everything_without_one_more_request(call: str, seconds: float) -> None:
    platform = Platform(lambda number, times, now: OK._replace(latency=0.05))

    async def main() -> tuple[float, float]:
        sitting = Sitting(rows_of(500), platform, rate=50)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, sitting)
            await anyio.sleep(seconds)
            sitting.log.broken = call
        return seconds, trio.current_time()

    async def run(sitting: Sitting) -> None:
        with pytest.raises(JournalError):
            await sitting.run()

    broke, over = in_virtual_time(main)
    noticed = {"append": 0.0, "sync": 0.11}[call]
    assert [at for at in platform.starts() if at > broke + noticed] == []
    assert over <= broke + 0.5
    assert_recorded_before_sent(platform.trace)


def test_an_input_that_changed_stops_the_run_after_recording_what_is_in_flight() -> None:
    def changed() -> Iterator[Row]:
        yield from rows_of(10)
        raise InputChanged("exports/conv.csv was rewritten")

    platform = Platform(lambda number, times, now: OK._replace(latency=1.0))

    async def main() -> Sitting:
        sitting = Sitting(changed(), platform)
        with pytest.raises(InputChanged):
            await sitting.run()
        return sitting

    sitting = in_virtual_time(main)
    assert set(sitting.ends) == {request.number for request in platform.requests} != set()


def test_an_error_of_ours_still_records_what_is_in_flight() -> None:
    """The row that met the error was started and has no end: the journal has it in doubt."""
    platform = Platform(lambda number, times, now: Step(ZeroDivisionError() if number == 5 else OK.result, 1.0))

    async def main() -> Sitting:
        sitting = Sitting(rows_of(40), platform)
        with pytest.raises(ZeroDivisionError):
            await sitting.run()
        return sitting

    sitting = in_virtual_time(main)
    assert {request.number for request in platform.requests} - sitting.ends.keys() == {5}
