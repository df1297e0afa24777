"""Which row of which run a row mends."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from batchpost.ledgerrows import RunRecord
from batchpost.links import Link, Links, Order, links_of, resolve


def content(sha: str) -> bytes:
    return sha.encode()


def run(run_id: str, seq: int, *inputs: str) -> RunRecord:
    return RunRecord(run_id, seq, "job", "finished", "", inputs, "update-lead", True, "", 0.0)


def a_run_on_disk(results: Path, run_id: str, *sources: tuple[str, str, int]) -> None:
    (results / run_id).mkdir(parents=True)
    entries = [{"path": path, "sha256": sha, "rows": rows} for path, sha, rows in sources]
    (results / run_id / "summary.json").write_text(json.dumps({"source": entries}))


def test_an_ordinary_file_has_no_links() -> None:
    assert links_of(pl.DataFrame({"Lead": ["a"], "batchpost_row": ["1"]})) == []


def test_a_link_that_a_spreadsheet_spoilt_is_none() -> None:
    frame = pl.DataFrame(
        {
            "batchpost_run": ["r1", "r1", "", None, "r1"],
            "batchpost_source": ["in.csv", "in.csv", "in.csv", "in.csv", None],
            "batchpost_row": ["7", "7.0", "7", "7", "7"],
        }
    )
    assert links_of(frame) == [Link("r1", "in.csv", 7), None, None, None, None]


def test_a_link_leads_to_the_content_of_its_file_and_the_place_in_its_run(tmp_path: Path) -> None:
    a_run_on_disk(tmp_path, "r1", ("a.csv", "sha-a", 10), ("b.csv", "sha-b", 5))
    links = resolve([Link("r1", "b.csv", 3), None], [run("r1", 4, "sha-a", "sha-b")], tmp_path, content)
    assert links == Links(
        contents=[(b"sha-a", 10), (b"sha-b", 5)],
        rows=[(1, 2), None],
        orders=[Order(4, 12, b"sha-a\nsha-b"), None],
    )


def test_what_is_not_known_any_more_links_to_nothing(tmp_path: Path) -> None:
    a_run_on_disk(tmp_path, "r1", ("a.csv", "sha-a", 10))
    a_run_on_disk(tmp_path, "r9", ("a.csv", "sha-a", 10))
    unknown = [Link("r2", "a.csv", 1), Link("r9", "a.csv", 1), Link("r1", "z.csv", 1), Link("r1", "a.csv", 11)]
    links = resolve([*unknown, Link("r1", "a.csv", 0)], [run("r1", 1, "sha-a"), run("r2", 2, "x")], tmp_path, content)
    assert (links.rows, links.orders) == ([None] * 5, [None] * 5)
