"""Inputs that are not there, or not sound, or not what the job means."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable

import polars as pl

from tests.commands import Done
from tests.corpus.cases import HERE as CORPUS
from tests.fileserver import Answer, file_server
from tests.mishaps.stage import INPUT, Scenario, Stage
from tests.storage import storage

__all__ = ["SCENARIOS"]

HEADER = "Lead,Payout,Mail,email"
ROW = "txn_{0:05},12.50,Quillan.Zephyrin@Mailcanary.Example,Quillan.Zephyrin@Mailcanary.Example"
LINES = [HEADER, *(ROW.format(number) for number in range(1, 6))]
TEXT = "\n".join(LINES) + "\n"


def content(made: str | bytes, name: str = INPUT, **tables: str) -> Scenario:
    """A run over this input."""

    def act(stage: Stage) -> Done:
        stage.write(made, name)
        stage.job(**{"source": f'path = "{name}"', **tables})
        return stage.run()

    return act


def row(third: str) -> str:
    """The sound input with another third row."""
    return "\n".join([*LINES[:3], third, *LINES[4:]]) + "\n"


def of_corpus(name: str) -> Scenario:
    """A run over a file of the corpus."""
    return content((CORPUS / name).read_bytes(), f"exports/{name.rpartition('/')[2]}")


def source(path: str, set_up: Callable[[Stage], object] = lambda stage: None, **tables: str) -> Scenario:
    """A run of the job with this path."""

    def act(stage: Stage) -> Done:
        set_up(stage)
        stage.job(**{"source": f"path = {path}", **tables})
        return stage.run()

    return act


def served(status: int, **headers: str) -> Scenario:
    """A run over an address whose server answers so."""

    def act(stage: Stage) -> Done:
        files = stage.open.enter_context(file_server(lambda *_: Answer(b"", status, headers)))
        stage.job()
        return stage.run("--source", f"{files.url}/conv.csv?signature=hush")

    return act


def stored(address: str) -> Scenario:
    """A run over an address in an object store that has one bucket."""

    def act(stage: Stage) -> Done:
        store = stage.open.enter_context(storage())
        store.bucket("exports", {"conv.csv": TEXT.encode()})
        for name, value in store.environ.items():
            stage.environ.setenv(name, value)
        stage.job(source=f'path = "{address}"')
        return stage.run()

    return act


def parquet(*, cut: int = 0) -> bytes:
    file = io.BytesIO()
    pl.DataFrame({name: ["x"] * 50 for name in HEADER.split(",")}).write_parquet(file)
    return file.getvalue()[: len(file.getvalue()) - cut]


def finished_before(stage: Stage) -> Done:
    stage.delivered(source='path = "exports/*.csv"')
    return stage.run()


def changed_while_it_was_sent(stage: Stage) -> Done:
    """The first request is the moment at which somebody writes another export over the file."""
    stage.job(base_url=stage.platform.base_url)
    stage.rows()
    return stage.while_sending(lambda: stage.rows(Payout=["99.99", "99.99", "99.99"]))


def input_of_a_retry_is_gone(stage: Stage) -> Done:
    stage.job(base_url=stage.platform.base_url)
    stage.rows()
    stage.environ.setenv("ORG", "org_of_others")  # which has none of these leads
    assert stage.run().code == 1
    (stage.folder / INPUT).unlink()
    return stage.say("retry", "nightly")


def columns_of_another_file(stage: Stage) -> Done:
    """The job's own file has them."""
    stage.job()
    stage.rows()
    stage.write("Lead,Amount,Email,Mail\ntxn_00001,12.50,a,b\n", "exports/late.csv")
    return stage.run("--source", "exports/late.csv")


def told_to_plan(stage: Stage) -> Done:
    stage.write(row('txn_00003,"12.50,x'), INPUT)
    stage.job()
    return stage.say("plan", "jobs/nightly.toml")


def two_headers(stage: Stage) -> None:
    stage.rows(1, "exports/a.csv")
    stage.write(TEXT, "exports/b.csv")


def delta_table(stage: Stage) -> None:
    stage.write(parquet(), "exports/part-0.parquet")
    stage.write("{}", "exports/_delta_log/00000000000000000000.json")


def divided(stage: Stage) -> None:
    stage.write(parquet(), "exports/day=2026-11-26/part-0.parquet")


SCENARIOS: dict[str, Scenario] = {
    "missing": source('"exports/conv-20261127.csv"', lambda stage: stage.rows(name="exports/conv-20261126.csv")),
    "missing-with-its-folder": source('"export/conv.csv"'),
    "pattern-without-match": source('"exports/conv-*.csv"', lambda stage: stage.rows(name="exports/leads.csv")),
    "folder-without-tables": source('"exports"', lambda stage: stage.write("", "exports/readme.md")),
    "finished-before": finished_before,
    "empty": content(""),
    "header-alone": content(HEADER + "\n"),
    "no-header": content("\n".join(LINES[1:]) + "\n"),
    "header-twice": content(TEXT.replace("email", "Mail", 1)),
    "row-too-short": content(row("txn_00003,12.50")),
    "quote-never-closed": content(row('txn_00003,"12.50,a,b')),
    "quote-inside": content(row('txn_00003,12"50,a,b')),
    "told-to-plan": told_to_plan,
    "not-utf8": content(row("txn_00003,12.50,é,é").encode("cp1252")),
    "utf16-without-mark": content(TEXT.encode("utf-16-le")),
    "nul-inside": content(row("txn_00003,12\0.50,a,b")),
    "cr-inside": content(row("txn_00003,12\r50,a,b")),
    "delimiter-unclear": content("Lead;a,Payout;b\n1;a,2;b\n"),
    "is-json": content('[{"Lead": "txn_00001"}]'),
    "is-a-web-page": content("<!DOCTYPE html><html><title>Log in</title>"),
    "is-parquet": content(parquet()),
    "is-a-workbook": of_corpus("workbooks/a-workbook.csv"),
    "is-no-workbook": of_corpus("foreign/text.xlsx"),
    "old-excel": source('"exports/conv.xls"', lambda stage: stage.write(b"\xd0\xcf\x11\xe0", "exports/conv.xls")),
    "no-such-sheet": content(
        (CORPUS / "workbooks/plain.xlsx").read_bytes(),
        "exports/conv.xlsx",
        source='path = "exports/conv.xlsx"\nsheet = "Sales"',
    ),
    "gzip-cut-off": content(gzip.compress(TEXT.encode() * 50)[:-40], "exports/conv.csv.gz"),
    "gzip-by-name-alone": of_corpus("foreign/noise.csv.gz"),
    "zip": of_corpus("packed/archive.csv"),
    "parquet-cut-off": content(parquet(cut=20), "exports/conv.parquet"),
    "parquet-by-name-alone": content(TEXT, "exports/conv.parquet"),
    "parquet-without-rows": of_corpus("parquet/zero-rows.parquet"),
    "ending-unknown": source('"exports/conv.dat"', lambda stage: stage.write(TEXT, "exports/conv.dat")),
    "delta-table": source('"exports"', delta_table),
    "divided-into-folders": source('"exports"', divided),
    "standard-input": source('"-"'),
    "same-file-twice": source(f'["{INPUT}", "./{INPUT}"]', lambda stage: stage.rows()),
    "two-headers": source('["exports/a.csv", "exports/b.csv"]', two_headers),
    "setting-contradicts": content(TEXT, source=f'path = "{INPUT}"\nheader_row = 2\nskip_rows = 3'),
    "encoding-unknown": content(TEXT, source=f'path = "{INPUT}"\nencoding = "utf-9"'),
    "fewer-rows-than-expected": content(TEXT, expect='rows = "1000..6000"\nrevenue = "50000..400000"'),
    "fewer-rows-than-at-least": content(TEXT, expect='rows = "1000.."'),
    "columns-of-another-file": columns_of_another_file,
    "https-not-there": served(404),
    "https-login": served(401),
    "https-denied": served(403),
    "https-down": served(410),
    "https-redirect": served(302, Location="http://files.example.com/conv.csv"),
    "s3-no-such-bucket": stored("s3://imports/conv.csv"),
    "s3-not-there": stored("s3://exports/conv-20261126.csv"),
    "changed-while-it-was-sent": changed_while_it_was_sent,
    "input-of-a-retry-is-gone": input_of_a_retry_is_gone,
}
