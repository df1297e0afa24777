"""The way out of a damaged journal: given up, nothing fires twice, and nothing is said to be delivered that is not."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import polars as pl
import pytest

from batchpost.errors import LedgerError
from batchpost.fates import SEND
from batchpost.firstpass import Plan
from batchpost.history import History
from batchpost.journal import sitting_files
from batchpost.ledgerrows import RunRecord
from batchpost.lookback import Found
from batchpost.model import Outcome
from batchpost.places import read_summary
from batchpost.records import read_lines
from batchpost.recordshapes import rows_of
from batchpost.salvage import Salvage
from batchpost.sandbox import Sandbox
from batchpost.spool import SpoolWriter, spool_schema
from batchpost.upkeep import abandon
from batchpost.verify import differences
from tests.endings import ends_of
from tests.test_journal_damage import ROWS, SAME, Sitting, ended, flips, killed, long, misshapen, sealed, several
from tests.test_upkeep import died, latest
from tests.workspaces import Workspace, counted, csv, leads, sale_rows, write_csv

Spoil = Callable[[bytes], bytes]
RECORD = RunRecord("r1", 4, "job", "running", "", (), "global-event", True, "", 1.0)


# -- what a damaged journal proves ---------------------------------------------------------------------------------


def planned(folder: Path, *done: int) -> None:
    """The plan of the run in :mod:`tests.test_journal_damage`; rows ``done`` were settled by earlier sittings."""
    frame = pl.DataFrame(
        {
            "row": range(ROWS),
            "key": [bytes([number]) for number in range(ROWS)],
            "body_hash": [bytes([number]) for number in range(ROWS)],
            "stake": [bytes([number]) for number in range(ROWS)],
        }
    )
    plan = Plan(folder / "plan.arrow")
    with SpoolWriter(plan.spool, ()) as writer:
        writer.write(frame.with_columns(pl.lit(None).alias(name) for name in spool_schema(()) if name not in frame))
    plan.fates.codes += bytes([SEND] * ROWS)
    for number in done:
        plan.fates.settle(number, Outcome.DELIVERED, "conversion")
    plan.save(folder)


def salvaged(folder: Path) -> tuple[dict[int, str], set[int]]:
    """Rows with the ends that are proved, and those in doubt."""
    history = History()
    ends = {end.number: end for end in ends_of(Salvage(RECORD, folder, boot=lambda: SAME).replay(history))}
    assert all(end.claim.key == end.claim.body_hash == bytes([number]) for number, end in ends.items())
    assert all(left.claim.key == left.claim.stake == bytes([number]) for number, left in history.open.items())
    assert {"is_event", "fires_again", "seq"} <= history.header.keys() or history.header["run_id"] == "r1"
    proved = {number: end.settlement.reason for number, end in ends.items()}
    return proved, {number for number, left in history.open.items() if left.in_doubt}


def check(sitting: Sitting, folder: Path) -> int:
    """Asserts that nothing salvaged is untrue or forgotten; returns how many rows are in doubt."""
    ends, doubts = salvaged(folder)
    assert ends.items() <= sitting.ends.items()
    assert sitting.effects <= ends.keys() | doubts
    delivered = {number for number, reason in sitting.ends.items() if reason == "conversion"}
    assert {number for number, reason in ends.items() if reason == "conversion"} <= delivered
    return len(doubts)


@pytest.mark.parametrize("make", [killed, long])
def test_what_is_salvaged_is_true_and_the_rest_is_in_doubt_whichever_byte_is_changed(
    tmp_path: Path, make: Callable[[], Sitting]
) -> None:
    planned(tmp_path)
    sitting, file = make(), tmp_path / "sitting-0001.log"
    images = [*flips(sitting.data)]
    counts = Counter[int]()
    for image in images[:: max(1, len(images) // 500)]:
        file.write_bytes(image)
        counts[check(sitting, tmp_path)] += 1
    assert counts[ROWS] == 0, "what is proved of other rows stays proved"
    if make is long:
        assert sum(count for doubts, count in counts.items() if doubts < 12) > 0.9 * counts.total()


@pytest.mark.parametrize("seed", range(30))
def test_the_same_holds_for_larger_damage(tmp_path: Path, seed: int) -> None:
    planned(tmp_path)
    sitting = long()
    data, begin = sitting.data, seed * len(sitting.data) // 30
    for image in (
        data[:begin] + bytes(512) + data[begin + 512 :],
        data[:begin] + data[begin + 512 :] + b"x\n",
        data[:begin] + b"\xff" * 7 + data[begin:],
        data[:begin] + b"\xff\n" + bytes(len(data) - begin),
    ):
        (tmp_path / "sitting-0001.log").write_bytes(image)
        check(sitting, tmp_path)


def test_a_hidden_claim_puts_its_rows_in_doubt_and_no_others(tmp_path: Path) -> None:
    """Later claims say how many rows were claimed before, so that the rows not yet reached are known to be fresh."""
    planned(tmp_path)
    sitting = Sitting()
    sitting.begin()
    for first in range(0, 20, 4):
        sitting.claim(*range(first, first + 4))
        sitting.post(first)
        sitting.post(*range(first + 1, first + 4))
    sitting.settle(9)
    data = sitting.data
    begin, end = line(b"claim", 2, data)
    assert b",[8,9,10,11]," in data[begin:end]
    hidden = data[begin:end].replace(b",[8,9,", b",[7,9,")
    (tmp_path / "sitting-0001.log").write_bytes(data[:begin] + hidden + data[end:])
    assert salvaged(tmp_path) == ({9: "conversion"}, {*range(20)} - {9})


def test_an_end_of_several_rows_that_is_hidden_puts_all_of_them_in_doubt(tmp_path: Path) -> None:
    planned(tmp_path)
    sitting = several()
    begin, _ = line(b"end", 1, sitting.data)
    (tmp_path / "sitting-0001.log").write_bytes(sitting.data[:begin] + b"\xff" + sitting.data[begin + 1 :])
    ends, doubts = salvaged(tmp_path)
    assert ends == {0: "conversion", 1: "lead_not_found", 2: "conversion"}
    assert doubts == {7, 8}


def test_a_record_of_another_shape_is_salvaged_around_or_refused(tmp_path: Path) -> None:
    """Whoever made its checksum; what is left to prove is proved, in the shape that the ledger takes."""
    planned(tmp_path)
    records = [orjson.loads(text[9:]) for text in several().data.splitlines()]
    salvageable, refused = 0, set()
    for changed in [*misshapen(records)][::3]:
        (tmp_path / "sitting-0001.log").write_bytes(sealed(changed))
        try:
            salvage = Salvage(RECORD, tmp_path, boot=lambda: SAME)
            assert {end.number for end in ends_of(salvage.replay(History()))} <= {0, 1, 2, 7, 8}
            salvageable += 1
        except (ValueError, LedgerError) as error:
            refused.add(re.sub(r".*(in format|the plan has no row|what no run does).*", r"\1", str(error)))
    assert refused <= {"in format", "the plan has no row", "what no run does"}
    assert salvageable > 500


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (["end", 200.0, [7, 7], [5.0, 5.0], True, "delivered", *[""] * 2, 200, *[""] * 4], "what no run does"),
        (["start", 200.0, [8, 1]], "what no run does"),
        (["start", 200.0, [8, ROWS]], "the plan has no row"),
    ],
    ids=["twice in one record", "again without a claim", "of another input"],
)
def test_records_that_cannot_be_true_prove_nothing(tmp_path: Path, record: list[object], why: str) -> None:
    planned(tmp_path)
    records = [orjson.loads(text[9:]) for text in several().data.splitlines()]
    (tmp_path / "sitting-0001.log").write_bytes(sealed([*records[:-2], record]))
    with pytest.raises(ValueError, match=why):
        [*Salvage(RECORD, tmp_path, boot=lambda: SAME).replay(History())]


def test_damage_behind_the_last_claim_may_hide_any_row(tmp_path: Path) -> None:
    planned(tmp_path)
    sitting = killed()
    (tmp_path / "sitting-0001.log").write_bytes(sitting.data + b"\xff\n")
    ends, doubts = salvaged(tmp_path)
    assert doubts == {*range(ROWS)} - {0, 1}
    assert ends == {0: "conversion", 1: "source_inactive"}


def test_an_earlier_sitting_hides_nothing_that_the_plan_of_the_next_one_does_not_know(tmp_path: Path) -> None:
    first = killed()
    second = ended(first)
    planned(tmp_path, 0)
    (tmp_path / "sitting-0001.log").write_bytes(b"\xff" * len(first.data) + b"\n")
    (tmp_path / "sitting-0002.log").write_bytes(second.data)
    ends, doubts = salvaged(tmp_path)
    assert ends == {1: "conversion", 3: "lead_not_found", 8: "conversion"}
    assert doubts == set()


def test_a_row_that_ended_and_may_have_been_sent_again_since_is_in_doubt(tmp_path: Path) -> None:
    """An inactive source: its rows are tried again by the next sitting, whose records are lost."""
    planned(tmp_path, 0)
    first = killed()
    (tmp_path / "sitting-0001.log").write_bytes(first.data)
    (tmp_path / "sitting-0002.log").write_bytes(ended(first).data.splitlines(keepends=True)[0] + b"\xff\n")
    assert 1 in salvaged(tmp_path)[1]


@pytest.mark.parametrize("name", ["plan.json", "plan.arrow", "fates.bin"])
@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-3])])
def test_a_damaged_plan_proves_nothing(tmp_path: Path, name: str, spoil: Callable[[Path], object]) -> None:
    planned(tmp_path)
    (tmp_path / "sitting-0001.log").write_bytes(killed().data + b"x")
    spoil(tmp_path / name)
    with pytest.raises((OSError, ValueError), match=name.replace(".", r"\.")):
        Salvage(RECORD, tmp_path)


def test_no_changed_byte_of_the_plan_goes_unnoticed_where_it_counts(tmp_path: Path) -> None:
    planned(tmp_path)
    for name in ("plan.arrow", "fates.bin"):
        sound = (tmp_path / name).read_bytes()
        for image in [*flips(sound)][:: max(1, len(sound) // 200)]:
            (tmp_path / name).write_bytes(image)
            with pytest.raises(ValueError, match="damaged"):
                Plan.load(tmp_path)
        (tmp_path / name).write_bytes(sound)


# -- whole runs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path, server: Sandbox) -> Workspace:
    place = Workspace(tmp_path, server.base_url)
    place.sales(dedupe=False)
    write_csv(tmp_path / "in.csv", sale_rows(40))
    return place


def journal_of(run: Found) -> Path:
    [file] = sitting_files(run.at.run(run.record.run_id))
    return file


def spoil_journal(run: Found, spoil: Spoil) -> Path:
    file = journal_of(run)
    file.write_bytes(spoil(file.read_bytes()))
    return file


def line(kind: bytes, number: int, data: bytes) -> tuple[int, int]:
    """Where the number-th record of a kind is."""
    lines = data.splitlines(keepends=True)
    places = [place for place, text in enumerate(lines) if b' ["%b"' % kind in text]
    begin = sum(map(len, lines[: places[number]]))
    return begin, begin + len(lines[places[number]])


def rows_told(file: Path, kind: bytes, number: int) -> Sequence[int]:
    """The rows that the number-th record of a kind is about: as many as came together."""
    begin, _ = line(kind, number, file.read_bytes())
    return next(rows_of(sound.record) for sound in read_lines(file) if sound.offset == begin and sound.record)


def changed(kind: bytes, number: int, byte: int = 30) -> Spoil:
    def spoil(data: bytes) -> bytes:
        begin, _ = line(kind, number, data)
        return data[: begin + byte] + b"\xff" + data[begin + byte + 1 :]

    return spoil


def cut_and_changed(kind: bytes) -> Spoil:
    """All that follows the last record of a kind is gone, and that one is damaged, too."""

    def spoil(data: bytes) -> bytes:
        begin, end = line(kind, -1, data)
        return data[: begin + 20] + b"?" + data[begin + 21 : end]

    return spoil


DAMAGES: dict[str, Spoil] = {
    "an end": changed(b"end", 0),
    "the first record": changed(b"sitting", 0),
    "the first claim": changed(b"claim", 0),
    "the last claim": changed(b"claim", -1),
    "the last record": changed(b"end", -1),
    "the last claim and all behind it": cut_and_changed(b"claim"),
    "a sector": lambda data: data[:1024] + bytes(512) + data[1536:],
    "missing bytes": lambda data: data[:1024] + data[1500:],
    "garbage": lambda data: data + b"\x00\xffgarbage\n",
    "everything": lambda data: b"\xff" * len(data),
}


@pytest.mark.parametrize("spoil", DAMAGES.values(), ids=DAMAGES)
def test_a_run_given_up_over_a_damaged_journal_fires_nothing_twice_and_claims_nothing_untrue(
    workspace: Workspace, server: Sandbox, spoil: Spoil
) -> None:
    run = died(workspace, 25)
    run_id = run.record.run_id
    file = spoil_journal(run, spoil)
    found = file.read_bytes()
    sent = [entry.transaction_id for entry in server.effects]
    assert len(sent) == 25
    with pytest.raises(LedgerError, match=rf"sitting-0001\.log: damaged.*byte \d+.*`batchpost abandon {run_id}`"):
        workspace.run()

    said = abandon(latest(workspace))

    outcomes = csv(run.folder / "outcomes.csv")
    in_doubt = outcomes.filter(pl.col("outcome") == "unknown")
    assert f"{in_doubt.height:,} rows may have been sent" in said
    assert set(in_doubt["reason"]) <= {"journal_damaged"}
    accounted = outcomes.filter(pl.col("outcome").is_in(["delivered", "unknown"]))["transaction_id"].to_list()
    assert set(sent) <= set(accounted)
    assert set(outcomes.filter(pl.col("outcome") == "delivered")["transaction_id"]) <= set(sent)
    summary = read_summary(run.folder)
    assert summary is not None
    assert (summary["state"], differences(run.folder, summary)) == ("crashed", [])

    new = workspace.run()

    assert new["run_id"] != run_id
    assert Counter(entry.transaction_id for entry in server.effects).most_common(1)[0][1] == 1
    assert len(server.effects) == 40 - len(set(in_doubt["transaction_id"]) - set(sent))
    told = counted(workspace.outcomes(new))
    assert told.get(("unknown", "in_doubt"), 0) == in_doubt.height
    kept = file.parent.with_name(f"{run_id}.damaged")
    assert (kept / file.name).read_bytes() == found
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert str(kept) in said
    assert latest(workspace).record.run_id == new["run_id"]


def test_a_run_whose_last_sitting_ended_in_order_keeps_its_results(workspace: Workspace, server: Sandbox) -> None:
    workspace.run(limit=25)
    run = latest(workspace)
    before = (run.folder / "outcomes.csv").read_bytes()
    spoil_journal(run, changed(b"end", 0))
    with pytest.raises(LedgerError, match="abandon"):
        workspace.run()
    abandon(run)
    assert (run.folder / "outcomes.csv").read_bytes() == before
    summary = workspace.run()
    assert sorted(entry.transaction_id for entry in server.effects) == leads(40)
    assert summary["rows"]["unknown"] == 0, "the ledger had taken all of it in"


@pytest.mark.parametrize("dedupe", [True, False])
def test_events_that_the_platform_refuses_twice_are_sent_again_and_confirmed(
    workspace: Workspace, server: Sandbox, dedupe: bool
) -> None:
    workspace.sales(dedupe=dedupe)
    run = died(workspace, 25)
    lost = rows_told(journal_of(run), b"end", 0)
    spoil_journal(run, changed(b"end", 0))
    abandon(run)
    new = workspace.run()
    assert sorted(entry.transaction_id for entry in server.effects) == leads(40)
    doubtful = new["reasons"].get("confirmed_duplicate" if dedupe else "in_doubt", 0)
    assert doubtful == len(lost) > 0


@pytest.mark.parametrize("name", ["plan.json", "plan.arrow", "fates.bin"])
def test_with_its_plan_damaged_as_well_the_run_is_left_and_the_last_resort_told(
    workspace: Workspace, server: Sandbox, name: str
) -> None:
    run = died(workspace, 25)
    folder = run.at.run(run.record.run_id)
    spoil_journal(run, changed(b"end", 0))
    (folder / name).write_bytes((folder / name).read_bytes()[:-3])
    with pytest.raises(LedgerError, match=rf"{name} is damaged.*move that folder elsewhere.*goes out once more"):
        abandon(run)
    assert latest(workspace).state == "crashed"

    folder.rename(workspace.folder / "elsewhere")
    abandon(run)

    assert latest(workspace).state == "abandoned"
    assert workspace.run()["rows"]["delivered"] == 40


def test_a_run_that_lacks_the_file_of_a_sitting_is_given_up_as_its_error_says(
    workspace: Workspace, server: Sandbox
) -> None:
    assert workspace.run(limit=5)["exit_code"] == 6
    assert workspace.run(limit=5)["exit_code"] == 6
    run = latest(workspace)
    [_, second] = sitting_files(run.at.run(run.record.run_id))
    second.unlink()
    with pytest.raises(
        LedgerError, match=f"2 files of this run.s journal, and 1 are left.*abandon {run.record.run_id}"
    ):
        workspace.run()
    abandon(run)
    assert workspace.run()["rows"]["delivered"] == 30
    assert len(server.effects) == 40


def test_without_its_job_file_a_damaged_run_is_given_up_all_the_same(workspace: Workspace, server: Sandbox) -> None:
    run = died(workspace, 25)
    lost = rows_told(journal_of(run), b"end", 0)
    spoil_journal(run, changed(b"end", 0))
    (workspace.folder / "job.toml").rename(workspace.folder / "away.toml")
    assert "Its results could not be written" in abandon(run)
    (workspace.folder / "away.toml").rename(workspace.folder / "job.toml")
    assert workspace.run()["rows"]["unknown"] == len(lost) > 0
    assert len(server.effects) == 40
