"""``corrections.csv``: what was delivered, what the file says now, and what of it is another."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from batchpost.compare import Correction
from batchpost.corrections import COLUMNS, Conflicts, write_corrections
from batchpost.identity import Identity
from batchpost.ledgerrows import Delivered
from batchpost.model import HashKind
from batchpost.sandbox import Sandbox
from tests.jobtexts import job_text, load
from tests.workspaces import SALE, Workspace, csv, write_csv

KEY = b"k" * 32
SOLD_AT = 'conversion_date = { column = "Sold", timezone = "America/New_York", send_as = "EST" }'
TWO_MONEYS = f'{SALE}\namount = {{ column = "Fee" }}'


def identity(kind: HashKind = HashKind.HMAC_SHA256) -> Identity:
    return Identity(KEY, "https://api.example.com", is_event=True, kind=kind)


def stake(text: str, kind: HashKind = HashKind.HMAC_SHA256) -> bytes:
    """The hash of ``revenue|amount|date|zone``."""
    joined = pl.DataFrame({"text": [text.replace("|", "\x1f")]})
    found: bytes = joined.select(identity(kind).stakes(pl.col("text"))).item()
    return found


def written(
    folder: Path,
    before: Delivered,
    now: str,
    *,
    fields: str = f"{SALE}\n{SOLD_AT}",
    kind: HashKind = HashKind.HMAC_SHA256,
) -> dict[str, str]:
    """The entry about row 3, which is ``revenue|amount|date|zone`` now."""
    revenue, amount, date, zone = now.split("|")
    money = {"money_revenue": revenue, "money_amount": amount}
    frame = pl.DataFrame(
        {"row": [3], "transaction_id": ["=x"], "event_id": ["sale"], "amount": [revenue or None], **money}
    ).with_columns(
        pl.col("row").cast(pl.UInt32),
        *(pl.col(name).replace("", None).cast(pl.Decimal(38, 9)) for name in money),
        pl.lit(f"{date} {zone}".strip() or None, pl.String).alias("conversion_date"),
        pl.lit(stake(now, kind)).alias("stake"),
    )
    job = load(folder, job_text(fields=fields))
    write_corrections(folder / "corrections.csv", Conflicts([Correction(3, before)], identity(kind)), frame, job)
    found = csv(folder / "corrections.csv")
    assert tuple(found.columns) == COLUMNS
    return found.row(0, named=True)


def delivered(amount: str, staked: str, kind: HashKind = HashKind.HMAC_SHA256) -> Delivered:
    return Delivered(b"", stake(staked, kind) if staked else b"", amount, "conv_1", 1_750_000_000.0)


@pytest.mark.parametrize(
    ("before", "now", "difference"),
    [("80.50", "100", "19.50"), ("100", "80.5", "-19.5"), ("5.00", "5.00", "0.00"), ("", "5", ""), ("5", "", "")],
)
def test_corrections_say_what_was_delivered_and_the_exact_difference(
    tmp_path: Path, before: str, now: str, difference: str
) -> None:
    entry = written(tmp_path, delivered(before, f"{before}|||"), f"{now}||2026-11-27|")
    assert list(entry.values())[:7] == ["'=x", "sale", "conv_1", before, "2025-06-15", now, difference]
    assert entry["conversion_date_now"] == "2026-11-27"


@pytest.mark.parametrize("kind", [HashKind.HMAC_SHA256, HashKind.BLAKE2B])
@pytest.mark.parametrize(
    ("amount", "staked", "what"),
    [
        ("80.50", "80.5||2026-11-27 10:00:00|EST", "money"),
        ("80.50", "80.5||2026-11-26 10:00:00|EST", "both"),
        ("80.50", "80.5||2026-11-27 10:00:00|CST", "both"),
        ("100.00", "100||2026-11-26 10:00:00|EST", "date"),
        ("100.00", "100||2026-11-27 10:00:00|CST", "date"),
        ("100.00", "100|||", "date"),
        ("", "||2026-11-27 10:00:00|EST", "money"),
        ("0.00", "0||2026-11-27 10:00:00|EST", "money"),
    ],
)
def test_what_is_another_is_proved_by_the_hash_of_what_was_delivered(
    tmp_path: Path, amount: str, staked: str, what: str, kind: HashKind
) -> None:
    entry = written(tmp_path, delivered(amount, staked, kind), "100||2026-11-27 10:00:00|EST", kind=kind)
    assert (entry["what"], entry["conversion_date_now"]) == (what, "2026-11-27 10:00:00 EST")


@pytest.mark.parametrize(
    ("amount", "staked", "fields", "what"),
    [
        ("100.00", "", f"{SALE}\n{SOLD_AT}", ""),
        ("80.50", "", f"{SALE}\n{SOLD_AT}", "money"),
        ("100.00", "100|7|2026-11-26|", f"{TWO_MONEYS}\n{SOLD_AT}", ""),
        ("80.50", "80.5|7|2026-11-26|", f"{TWO_MONEYS}\n{SOLD_AT}", "money"),
    ],
    ids=["not known", "not known but the money", "two fields of money", "two fields of money, one known"],
)
def test_what_cannot_be_told_is_not_told(tmp_path: Path, amount: str, staked: str, fields: str, what: str) -> None:
    """Of old doubts no stake is known, and of a second field of money no amount."""
    entry = written(tmp_path, delivered(amount, staked), "100|7|2026-11-27|", fields=fields)
    assert entry["what"] == what


def test_a_run_tells_what_is_another_of_each_event(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(fields=SOLD_AT)
    path, day = workspace.folder / "in.csv", ["2026-07-01 10:00", "2026-07-01 10:00", "2026-01-05", "2026-07-02 09:30"]
    table = {"Lead": ["a", "b", "c", "d"], "Email": [""] * 4}
    write_csv(path, {**table, "Payout": ["80.50", "10", "7", "8.00"], "Sold": day})
    assert workspace.run()["exit_code"] == 0
    later = ["2026-07-01 10:00", "2026-07-02 10:00", "2026-01-06", "2026-07-02 09:30"]
    write_csv(path, {**table, "Payout": ["100", "10.00", "9", "8"], "Sold": later})

    summary = workspace.run()

    found = csv(workspace.results(summary) / "corrections.csv")
    assert found.select("transaction_id", "difference", "what", "conversion_date_now").rows() == [
        ("a", "19.50", "money", "2026-07-01 09:00:00 EST"),
        ("b", "0.00", "date", "2026-07-02 09:00:00 EST"),
        ("c", "2", "both", "2026-01-06"),
    ]
    assert len(server.received) == 4


def test_without_a_date_in_the_job_only_the_money_can_be_another(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales()
    path = write_csv(workspace.folder / "in.csv", {"Lead": ["a"], "Payout": ["80.50"], "Email": [""]})
    workspace.run()
    write_csv(path, {"Lead": ["a"], "Payout": ["100"], "Email": [""]})
    [entry] = csv(workspace.results(workspace.run()) / "corrections.csv").rows(named=True)
    assert (entry["what"], entry["conversion_date_now"]) == ("money", "")
    assert len(server.received) == 1
