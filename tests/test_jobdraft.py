"""A draft as text: it is TOML, what is open is marked, and what is offered stands where it can be taken."""

from __future__ import annotations

import tomllib

import pytest

from batchpost.batch import Decision
from batchpost.columnfacts import Table
from batchpost.jobdraft import MARK, Draft, draft_text
from batchpost.proposal import Decimal, EventMap, Line, Proposal
from batchpost.routes import ROUTES
from tests.newjobs import column

LEAD = Line("transaction_id", {"column": "Lead ID"}, ("'Lead ID' is a usual name for it.",))
TABLE = Table({"Lead ID": column("Lead ID", "a", "N/A")}, rows=2, whole=True, blank=0, totals=0, unsupported={})


def text_of(*lines: Line, decisions: tuple[Decision, ...] = (), **parts: object) -> str:
    wanted = {"event": None, "campaign": None, "decimal": Decimal(), "customs": (), **parts}
    proposal = Proposal(ROUTES["global-event"], (LEAD, *lines), table=TABLE, decisions=decisions, **wanted)  # type: ignore[arg-type]
    return draft_text(Draft("job", "in.csv", "in.csv", proposal))


def test_an_entry_has_its_evidence_above_it_and_other_ways_below() -> None:
    line = Line("revenue", {"column": "Pay", "min": 0}, ("Because.",), others=(({"column": "Sum"}, "the other"),))
    lines = text_of(line).splitlines()
    at = lines.index('revenue        = { column = "Pay", min = 0 }')
    assert lines[at - 1] == "# Because."
    assert lines[at + 1] == '# revenue        = { column = "Sum" }  # the other'


def test_what_is_left_out_is_a_comment_and_marked() -> None:
    text = text_of(Line("revenue", {"column": "Pay"}, sent=False, decide="say something"))
    assert f"# {MARK} say something." in text
    assert set(tomllib.loads(text)["fields"]) == {"transaction_id"}


@pytest.mark.parametrize(
    ("decision", "line"),
    [
        (Decision("delimiter", "\t", "it divides all"), r'# delimiter = "\t"  # it divides all'),
        (Decision("header_row", "3", "a title\nis above"), "# header_row = 3  # a title is above"),
        (Decision("", "10 rows", "its footer says so"), "# 10 rows: its footer says so"),
    ],
)
def test_what_the_reader_found_is_the_line_that_says_it(decision: Decision, line: str) -> None:
    assert line in text_of(decisions=(decision,)).splitlines()


def test_what_was_said_of_the_file_is_not_told_again() -> None:
    text = text_of(decisions=(Decision("encoding", "cp1252", "as the job says"),), source={"encoding": "cp1252"})
    assert tomllib.loads(text)["source"] == {"path": "in.csv", "encoding": "cp1252"}
    assert "as the job says" not in text


@pytest.mark.parametrize("word", ['a "b" \\ c', "x = 1", "[fields]", "# no", "Ja, so"])
def test_statuses_of_any_text_are_keys(word: str) -> None:
    text = text_of(event=EventMap("Status", {word: 3}, {word: "sale"}))
    assert tomllib.loads(text)["fields"]["event_id"]["map"] == {word: "sale"}
    assert "# 3 rows" in text


def test_a_status_that_the_file_does_not_have_is_told() -> None:
    text = text_of(event=EventMap("Status", {"Funded": 3}, {"Paid": "sale"}))
    assert '"Paid" = "sale"' in text
    assert "# in none of the rows looked at" in text
    assert '# "Funded" = "funded"' in text


def test_words_for_nothing_are_offered_as_empty() -> None:
    assert '# null_values = ["N/A"]' in text_of()


def test_a_sign_that_is_open_is_offered_both_ways() -> None:
    text = text_of(decimal=Decimal(None, "None proves it.", open=True))
    assert '# decimal = "."\n# decimal = ","' in text
