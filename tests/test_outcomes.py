from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from batchpost.batch import Fingerprint
from batchpost.firstpass import Plan
from batchpost.history import Open
from batchpost.model import Outcome, Repeat, Settlement
from batchpost.outcomes import OUTCOME_COLUMNS, Ends, all_outcomes
from batchpost.recordshapes import Claim
from batchpost.spool import SpoolWriter
from tests.endings import Ended, ended_rows

CLAIM = Claim(b"", b"", b"", "")
AT = 1_750_000_000.0
DELIVERED = Settlement(Outcome.DELIVERED, "conversion", "", 200, "", "conv_1", "src_9")


def ended(number: int, settlement: Settlement = DELIVERED, attempts: int = 1) -> Ended:
    return Ended(number, CLAIM, settlement, AT + 1.5, AT, attempts, 12.3, True)


def a_plan(folder: Path, *fates: tuple[str, str] | None, batch: int = 100) -> Plan:
    """Rows of one file; None is a row to send. Each has a pid of its own, details where it is decided."""
    plan = Plan(folder / "plan.arrow", files=[Fingerprint("in.csv", "", 0, len(fates))])
    with SpoolWriter(plan.spool, ("revenue",)) as writer:
        for first in range(0, len(fates), batch):
            some = fates[first : first + batch]
            writer.write(_record(first, [fate and "why" for fate in some]))
            outcomes, reasons = ([fate and fate[part] for fate in some] for part in (0, 1))
            plan.fates.extend(pl.Series(outcomes, dtype=pl.String), pl.Series(reasons, dtype=pl.String))
    return plan


def _record(first: int, details: list[str | None]) -> pl.DataFrame:
    numbers = list(range(first, first + len(details)))
    return pl.DataFrame(
        {"row": numbers, "file": [0] * len(numbers), "file_row": [n + 1 for n in numbers], "detail": details}
    ).with_columns(
        (pl.col("row") + 2).alias("line"),
        *(pl.format("{}_{}", pl.lit(name), "row").alias(name) for name in ("transaction_id", "event_id", "pid")),
        *(pl.lit(None, pl.Binary).alias(name) for name in ("key", "body_hash", "stake")),
        pl.lit(None, pl.Boolean).alias("fires_again"),
        pl.lit(None, pl.String).alias("campaign_id"),
        pl.lit("5.00").alias("amount"),
        pl.lit("5.00").cast(pl.Decimal(38, 9)).alias("money_revenue"),
    )


def outcomes(plan: Plan, ends: Ends, repeat: Repeat = Repeat.REFUSED) -> pl.DataFrame:
    return pl.concat(all_outcomes(plan, "global-event", pl.lit(repeat).alias("repeat"), ends))


def ends(
    *rows: Ended,
    left_open: Mapping[int, Open] | None = None,
    cause: str = "limit",
    held: frozenset[str] = frozenset(),
    resolved: Collection[int] = (),
) -> Ends:
    return Ends(ended_rows(rows), left_open or {}, cause, held, resolved)


def test_every_row_has_one_outcome_in_the_order_read(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, None, ("invalid", "not_a_number"), None, None, ("skipped", "filtered"), batch=2)
    frame = outcomes(plan, ends(ended(3), ended(0)))
    assert tuple(frame.columns) == (*OUTCOME_COLUMNS, "number", "money_revenue")
    assert frame.select("row", "line", "number", "outcome", "reason", "detail").rows() == [
        (1, 2, 0, "delivered", "conversion", ""),
        (2, 3, 1, "invalid", "not_a_number", "why"),
        (3, 4, 2, "not_attempted", "limit", None),
        (4, 5, 3, "delivered", "conversion", ""),
        (5, 6, 4, "skipped", "filtered", "why"),
    ]


def test_a_settled_row_carries_the_platforms_evidence(tmp_path: Path) -> None:
    frame = outcomes(a_plan(tmp_path, None), ends(ended(0, attempts=3)))
    row = frame.row(0, named=True)
    assert {name: row[name] for name in ("http_status", "conversion_id", "pid", "attempts", "latency_ms")} == {
        "http_status": 200,
        "conversion_id": "conv_1",
        "pid": "src_9",
        "attempts": 3,
        "latency_ms": 12.3,
    }
    assert row["first_attempt_at"] == "2025-06-15T15:06:40.000Z"
    assert row["settled_at"] == "2025-06-15T15:06:41.500Z"
    assert (row["source"], row["route"], row["amount"]) == ("in.csv", "global-event", "5.00")


def test_what_was_never_sent_has_no_times_and_no_attempts(tmp_path: Path) -> None:
    row = outcomes(a_plan(tmp_path, None, ("invalid", "x")), ends()).select(
        "attempts", "first_attempt_at", "settled_at", "latency_ms", "http_status", "pid"
    )
    assert row.rows() == [(0, None, None, None, None, f"pid_{number}") for number in range(2)]


def test_the_journals_word_counts_before_the_plans(tmp_path: Path) -> None:
    """A continued run's plan has the journal's settlements, and what the ledger made of the same rows."""
    frame = outcomes(a_plan(tmp_path, ("already_delivered", "same_row")), ends(ended(0)))
    assert frame.select("outcome", "reason", "detail").rows() == [("delivered", "conversion", "")]


def test_an_unknown_end_that_a_person_settled_counts_no_more(tmp_path: Path) -> None:
    """The row ends as the next sitting planned it, or was not attempted; only unknown ends are settled so."""
    unknown = Settlement(Outcome.UNKNOWN, "dropped")
    plan = a_plan(tmp_path, None, ("skipped", "ignored"), ("unknown", "in_doubt"), None, None)
    frame = outcomes(plan, ends(*(ended(n, unknown) for n in range(4)), ended(4), resolved={0, 4}))
    assert frame.select("outcome", "reason", "attempts").rows() == [
        ("not_attempted", "limit", 0),
        ("skipped", "ignored", 0),
        ("unknown", "dropped", 1),
        ("unknown", "dropped", 1),
        ("delivered", "conversion", 1),
    ]


def test_what_a_crash_left_in_doubt_comes_after_the_end_that_the_row_had(tmp_path: Path) -> None:
    inactive = Settlement(Outcome.REJECTED, "source_inactive", "", 403)
    begun = {0: Open(CLAIM, in_doubt=True, attempts=2), 1: Open(CLAIM, attempts=2)}
    frame = outcomes(a_plan(tmp_path, None, None), ends(ended(0, inactive), ended(1, inactive), left_open=begun))
    assert frame.select("outcome", "reason", "attempts").rows() == [
        ("unknown", "limit", 2),
        ("rejected", "source_inactive", 1),
    ]


@pytest.mark.parametrize("at", [0.9994, 59.9996, 86_399.9999, AT, AT + 86_400 * 365])
def test_times_are_to_the_millisecond_also_where_that_is_another_day(tmp_path: Path, at: float) -> None:
    row = Ended(0, CLAIM, DELIVERED, at, at, 1, 1.0, True)
    [found] = outcomes(a_plan(tmp_path, None), ends(row))["settled_at"]
    expected = datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds")
    assert found == expected.replace("+00:00", "Z")


def test_of_a_row_settled_twice_the_later_one_counts(tmp_path: Path) -> None:
    inactive = Settlement(Outcome.REJECTED, "source_inactive", "", 403)
    frame = outcomes(a_plan(tmp_path, None), ends(ended(0, inactive), ended(0)))
    assert frame["reason"].to_list() == ["conversion"]


@pytest.mark.parametrize(
    ("repeat", "in_doubt", "outcome", "attempts"),
    [
        (Repeat.HARMLESS, True, "not_attempted", 2),
        (Repeat.REFUSED, True, "unknown", 2),
        (Repeat.FIRES_AGAIN, True, "unknown", 2),
        (Repeat.FIRES_AGAIN, False, "not_attempted", 2),
    ],
)
def test_a_row_left_open_is_unknown_where_it_may_have_fired(
    tmp_path: Path, repeat: Repeat, in_doubt: bool, outcome: str, attempts: int
) -> None:
    row = Open(CLAIM, in_doubt=in_doubt, attempts=attempts, first_attempt_at=AT)
    frame = outcomes(a_plan(tmp_path, None), ends(left_open={0: row}, cause="interrupted"), repeat)
    assert frame.select("outcome", "reason", "attempts").rows() == [(outcome, "interrupted", attempts)]
    assert frame["first_attempt_at"].to_list() == ["2025-06-15T15:06:40.000Z"]


@pytest.mark.parametrize(
    ("repeat", "outcome"),
    [
        (Repeat.HARMLESS, "not_attempted"),
        (Repeat.REFUSED, "not_attempted"),
        (Repeat.FIRES_AGAIN, "unknown"),
    ],
)
def test_a_row_that_was_only_redirected_waits_for_the_right_address_where_that_is_safe(
    tmp_path: Path, repeat: Repeat, outcome: str
) -> None:
    row = Open(CLAIM, in_doubt=True, attempts=1, redirected=True)
    frame = outcomes(a_plan(tmp_path, None), ends(left_open={0: row}, cause="redirect"), repeat)
    assert frame["outcome"].to_list() == [outcome]


def test_rows_of_a_held_source_say_so_unless_they_are_in_doubt(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, None, None, None, ("skipped", "filtered"))
    held = frozenset({"pid_0", "pid_1", "pid_3"})
    frame = outcomes(plan, ends(left_open={1: Open(CLAIM, in_doubt=True, attempts=1)}, held=held))
    assert frame.select("outcome", "reason").rows() == [
        ("not_attempted", "source_inactive"),
        ("unknown", "limit"),
        ("not_attempted", "limit"),
        ("skipped", "filtered"),
    ]


def test_an_input_without_rows_has_no_outcomes(tmp_path: Path) -> None:
    plan = a_plan(tmp_path)
    assert list(all_outcomes(plan, "x", pl.lit(Repeat.REFUSED).alias("repeat"), ends())) == []
