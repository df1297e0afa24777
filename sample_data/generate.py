"""Makes the sample files: the committed ones byte for byte, and others like them of any size.

    python sample_data/generate.py --all
    python sample_data/generate.py --kind conversions --rows 100000 --seed 7 --out /tmp/conversions.csv

The same kind, rows and seed give the same file. The mess in them is on purpose and comes back at the same places:
every MESS table below says which row (modulo its period) is wrong, and how.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
SEED = 1
CONVERSIONS, ENRICHMENT, TRACKING, STRANGE = 400, 10_000, 300, 240
FIRST_DAY = datetime(2025, 3, 3)  # noqa: DTZ001 - exports have wall clock times, without a zone

FIRST = ("Anna", "Ben", "Chloé", "Dmitri", "Elena", "Faisal", "Grace", "Hélène", "Ivan", "José", "Käthe", "Liam")
LAST = ("Adams", "Brown", "Castro", "Dubois", "Evans", "Fischer", "García", "Hughes", "Iqbal", "Jones", "Müller")
PLACES = (("MA", "021"), ("NJ", "070"), ("CT", "061"), ("NY", "100"), ("TX", "750"), ("CA", "900"), ("FL", "331"))
GRADES = ("excellent", "good", "fair", "poor")
SOURCES = ("src_search", "src_social", "src_mail", "src_partner")
CAMPAIGNS = {"Auto Insurance": "cmp_autos", "Home Loans": "cmp_homes", "Solar": "cmp_solar"}
NOTES = (
    "",
    "",
    "",
    "first call",
    "called twice, then sold",
    'said "yes" at once',
    "Kundin aus München, später zurückrufen",
)
BRANCHES = ("Köln", "München", "Zürich", "Wien")

# Row (modulo 400) of the buyer's export -> what is wrong with it.
CONVERSION_MESS = {
    12: "unknown lead",
    47: "duplicate",
    83: "contradiction",
    120: "blank row",
    121: "blank row",
    150: "payout N/A",
    171: "payout 1,250",
    199: "bad date",
    205: "unknown lead",
    222: "no lead id",
    240: "negative payout",
    263: "outer blanks",
    281: "two-line note",
    322: "formula",
    340: "skipped hour",
    362: "bad e-mail",
    377: "unknown lead",
    390: "payout too high",
}
# Row (modulo 1,000) of the enrichment file.
ENRICHMENT_MESS = {17: "lead again", 203: "bad e-mail", 407: "short phone", 611: "no such state", 809: "unknown lead"}
# Row (modulo 300) of the tracking file.
TRACKING_MESS = {
    40: "unknown lead",
    60: "campaign not in the map",
    90: "duplicate",
    120: "blank row",
    140: "unknown lead",
    200: "event not in the map",
}
# Row (modulo 240) of the strange file.
STRANGE_MESS = {31: "no amount", 118: "blank row", 150: "digit lost", 187: "no amount"}


def transaction_id(seed: int, pool: str, number: int) -> str:
    """The id of a pool's lead; any one of them without those before it."""
    text = blake2b(f"{seed}:{pool}:{number}".encode(), digest_size=16).hexdigest()
    return f"txn_{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def conversions(rows: int, seed: int) -> Iterator[list[str]]:
    """Header, ``rows`` rows of a buyer's export and a totals row. Its leads are those of the enrichment file."""
    yield ["Lead ID", "Status", "Payout", "Sold At", "Source", "Email", "Notes"]
    rng = random.Random(f"{seed}:conversions")
    total = Decimal(0)
    funded: list[str] = []
    for number in range(rows):
        row, payout = _conversion(rng, transaction_id(seed, "lead", number))
        mess = CONVERSION_MESS.get(number % 400)
        if mess:
            row = _spoil_conversion(row, funded or row, mess, seed, number)
        elif row[1] == "Funded":
            funded, total = row, total + payout
        yield row
    yield ["TOTAL", "", f"${total:,.2f}", "", "", "", ""]


def _conversion(rng: random.Random, lead: str) -> tuple[list[str], Decimal]:
    status = rng.choices(("Funded", "Declined", "Pending"), (62, 25, 13))[0]
    payout = Decimal(rng.randrange(2_000, 250_000, 25)) / 100
    text = rng.choice((f"${payout:,.2f}", f"{payout:.2f}", f"${payout:.2f}"))
    sold = FIRST_DAY + timedelta(days=rng.randrange(14), hours=6, minutes=rng.randrange(16 * 60))
    email = _email(rng, *_name(rng)) if rng.random() < 0.9 else ""
    row = [lead, status, text, f"{sold:%m/%d/%Y %H:%M}", rng.choice(SOURCES), email, rng.choice(NOTES)]
    return row, payout


def _spoil_conversion(row: list[str], funded: list[str], mess: str, seed: int, number: int) -> list[str]:
    lead, _, _, sold, source, email, note = row
    good = [lead, "Funded", "$85.00", sold, source, email, note]
    spoilt: dict[str, list[str]] = {
        "unknown lead": [transaction_id(seed, "unknown", number), *good[1:]],
        "duplicate": list(funded),
        "contradiction": [*funded[:2], "$999.00", *funded[3:]],
        "blank row": [""] * 7,
        "payout N/A": [*good[:2], "N/A", *good[3:]],
        "payout 1,250": [*good[:2], "1,250", *good[3:]],
        "bad date": [*good[:3], "13/45/2025 10:00", *good[4:]],
        "no lead id": ["", *good[1:]],
        "negative payout": [*good[:2], "-45.00", *good[3:]],
        "outer blanks": [f"  {lead} ", " funded ", " $85.00 ", *good[3:]],
        "two-line note": [*good[:6], "asked for a\ncall back"],
        "formula": [*good[:2], "tbd", *good[3:6], '=HYPERLINK("https://example.com","claim")'],
        "skipped hour": [*good[:3], "03/09/2025 02:30", *good[4:]],
        "bad e-mail": [*good[:5], "anna at example.com", note],
        "payout too high": [*good[:2], "$12,500.00", *good[3:]],
    }
    return spoilt[mess]


def tracking(rows: int, seed: int) -> Iterator[list[str]]:
    """Header and ``rows`` tracking events of three campaigns."""
    yield ["Lead ID", "Event", "Campaign", "Occurred At", "Source"]
    rng = random.Random(f"{seed}:tracking")
    last: list[str] = []
    for number in range(rows):
        at = FIRST_DAY + timedelta(days=7, seconds=97 * number)
        event = rng.choice(("Application submitted", "Call connected"))
        row = [transaction_id(seed, "tracked", number), event, _campaign(number), f"{at}", rng.choice(SOURCES)]
        mess = TRACKING_MESS.get(number % 300)
        if mess:
            row = _spoil_tracking(row, last or row, mess, seed, number)
        last = row
        yield row


def _campaign(number: int) -> str:
    return tuple(CAMPAIGNS)[number % len(CAMPAIGNS)]


def _spoil_tracking(row: list[str], last: list[str], mess: str, seed: int, number: int) -> list[str]:
    lead, event, campaign, *rest = row
    spoilt: dict[str, list[str]] = {
        "unknown lead": [transaction_id(seed, "unknown", number), event, campaign, *rest],
        "campaign not in the map": [lead, event, "Pet Insurance", *rest],
        "duplicate": list(last),
        "blank row": [""] * 5,
        "event not in the map": [lead, "Page viewed", campaign, *rest],
    }
    return spoilt[mess]


def strange(rows: int, seed: int) -> Iterator[list[str]]:
    """A buyer's export as a European spreadsheet saves it: titles, header, ``rows`` rows and a row of totals.

    Its leads are of the enrichment file, beyond those of ``conversions``. The total has the amounts that are missing.
    """
    for title in ("Lead settlement, March 2025", "As of 17.03.2025, amounts in €", ""):
        yield [title, "", "", "", "", ""]
    yield ["Lead ref", "Status", "Commission", "Closed on", "Branch", "Remark"]
    rng = random.Random(f"{seed}:strange")
    total = Decimal(0)
    for number in range(rows):
        row, commission = _strange(rng, transaction_id(seed, "lead", 1_000 + number))
        mess = STRANGE_MESS.get(number % 240)
        if mess:
            row = _spoil_strange(row, mess, commission)
        if row[1] == "Paid out":
            total += commission
        yield row
    yield ["Total", "", _european(total), "", "", ""]


def _strange(rng: random.Random, lead: str) -> tuple[list[str], Decimal]:
    status = rng.choices(("Paid out", "Declined", "In review"), (62, 25, 13))[0]
    commission = Decimal(rng.randrange(4_000, 190_000, 50)) / 100
    closed = FIRST_DAY + timedelta(days=rng.randrange(14), hours=8, minutes=rng.randrange(10 * 60))
    money = _european(commission) if status == "Paid out" else "n/a"
    remark = rng.choice(("", "", "", "Unterlagen vollständig", "Rückruf erbeten"))
    return [lead, status, money, f"{closed:%d.%m.%Y %H:%M}", rng.choice(BRANCHES), remark], commission


def _spoil_strange(row: list[str], mess: str, commission: Decimal) -> list[str]:
    lead, _, _, *rest = row
    spoilt: dict[str, list[str]] = {
        "no amount": [lead, "Paid out", "n/a", *rest],
        "blank row": [""] * 6,
        "digit lost": [lead[:-1], "Paid out", _european(commission), *rest],
    }
    return spoilt[mess]


def _european(money: Decimal) -> str:
    """With a point between thousands and a decimal comma."""
    return f"{money:,.2f}".translate(str.maketrans(",.", ".,"))


def leads(rows: int, seed: int) -> Iterator[list[str]]:
    """Header and the leads that ``rows`` rows of each of the other kinds speak of, but for those unknown on purpose."""
    yield ["transaction_id", "campaign_id", "pid"]
    for number in range(rows):
        yield [transaction_id(seed, "lead", number), "cmp_sandbox", SOURCES[number % len(SOURCES)]]
    for number in range(min(rows, TRACKING)):
        yield [transaction_id(seed, "tracked", number), CAMPAIGNS[_campaign(number)], SOURCES[number % len(SOURCES)]]


ENRICHMENT_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("transaction_id", "first_name", "last_name", "email", "phone", "state")),
        ("zip", pa.string()),
        ("loan_amount", pa.int64()),
        ("credit_score", pa.string()),
        ("home_owner", pa.string()),
    ]
)


def enrichment(rows: int, seed: int) -> Iterator[pa.RecordBatch]:
    """Batches of at most 50,000 updates, so that a file of any size fits into memory."""
    rng = random.Random(f"{seed}:enrichment")
    for start in range(0, rows, 50_000):
        batch = [_enrichment(rng, seed, number) for number in range(start, min(start + 50_000, rows))]
        columns = [list(column) for column in zip(*batch, strict=True)]
        arrays = [pa.array(column, kind) for column, kind in zip(columns, ENRICHMENT_SCHEMA.types, strict=True)]
        yield pa.record_batch(arrays, schema=ENRICHMENT_SCHEMA)


def _enrichment(rng: random.Random, seed: int, number: int) -> tuple[str | int | None, ...]:
    mess = ENRICHMENT_MESS.get(number % 1000)
    first, last = _name(rng)
    state, zip3 = rng.choice(PLACES)
    area, line = rng.randrange(201, 990), rng.randrange(100, 200)
    phone = rng.choice((f"{area}5550{line}", f"({area}) 555-0{line}"))
    loan = rng.randrange(5_000, 60_000, 500)
    email = _email(rng, first, last)
    lead = transaction_id(seed, "lead", number - 1 if mess == "lead again" else number)
    return (
        transaction_id(seed, "unknown", number) if mess == "unknown lead" else lead,
        first,
        last,
        "not-an-address" if mess == "bad e-mail" else email,
        "555-01" if mess == "short phone" else phone,
        "XX" if mess == "no such state" else state,
        f"{zip3}{rng.randrange(100):02}",
        loan if rng.random() < 0.95 else None,
        rng.choice(GRADES) if rng.random() < 0.9 else None,
        rng.choice("YN"),
    )


def _name(rng: random.Random) -> tuple[str, str]:
    return rng.choice(FIRST), rng.choice(LAST)


def _email(rng: random.Random, first: str, last: str) -> str:
    plain = f"{first}.{last}{rng.randrange(1000)}".lower().encode("ascii", "ignore").decode()
    return f"{plain}@example.com"


TABLES: dict[str, Callable[[int, int], Iterator[list[str]]]] = {
    "conversions": conversions,
    "tracking": tracking,
    "strange": strange,
    "leads": leads,
}


def write(kind: str, rows: int, seed: int, path: Path) -> None:
    """Writes one file: Parquet for ``enrichment``, CSV in cp1252 with semicolons for ``strange``, else in UTF-8."""
    if kind == "enrichment":
        with pq.ParquetWriter(path, ENRICHMENT_SCHEMA, compression="zstd") as writer:
            for batch in enrichment(rows, seed):
                writer.write_batch(batch)
        return
    encoding, delimiter, end = ("cp1252", ";", "\r\n") if kind == "strange" else ("utf-8", ",", "\n")
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=end).writerows(TABLES[kind](rows, seed))


def write_all(folder: Path) -> None:
    """Writes the files that are committed."""
    write("conversions", CONVERSIONS, SEED, folder / "conversions.csv")
    write("enrichment", ENRICHMENT, SEED, folder / "enrichment.parquet")
    write("tracking", TRACKING, SEED, folder / "tracking.csv")
    write("strange", STRANGE, SEED, folder / "strange.csv")
    write("leads", ENRICHMENT, SEED, folder / "leads.csv")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make sample files for batchpost.")
    parser.add_argument("--all", action="store_true", help="the committed files, into this folder")
    parser.add_argument("--kind", choices=[*TABLES, "enrichment"])
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.all:
        write_all(HERE)
    elif options.kind and options.out:
        write(options.kind, options.rows, options.seed, options.out)
    else:
        parser.error("give --all, or --kind and --out")


if __name__ == "__main__":
    main()
