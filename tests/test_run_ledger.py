"""What a workspace keeps between runs: a ledger that cannot vanish unseen, locks, and files that tell nothing."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from batchpost.errors import LedgerError, Locked, UsageError
from batchpost.files import private_folder
from batchpost.identity import Identity
from batchpost.ledger import Ledger
from batchpost.locks import Locks, is_held
from batchpost.model import HashKind
from batchpost.prepare import Prepared
from batchpost.sandbox import Sandbox
from tests.ledgers import alter
from tests.workspaces import (
    DEDUPED,
    Onlooker,
    Workspace,
    counted,
    fired,
    leads,
    sale_rows,
    update_rows,
    write_csv,
)


@pytest.fixture
def workspace(tmp_path: Path, server: Sandbox) -> Workspace:
    """With one finished run of 20 sales."""
    made = Workspace(tmp_path, server.base_url)
    made.sales()
    write_csv(made.folder / "in.csv", sale_rows(20))
    made.run()
    return made


def gone(ledger: Path, older: Path) -> None:
    ledger.unlink()


def replaced(ledger: Path, older: Path) -> None:
    ledger.unlink()
    other = Workspace(older.parent / "elsewhere")
    other.folder.mkdir()
    other.sales()
    write_csv(other.folder / "in.csv", sale_rows(1))
    other.run(limit=0)
    shutil.copy(other.places.ledger, ledger)


def restored(ledger: Path, older: Path) -> None:
    shutil.copy(older, ledger)


@pytest.mark.parametrize(
    ("mishap", "words"), [(gone, "is gone"), (replaced, "not the ledger that"), (restored, "is older than")]
)
def test_a_ledger_that_is_not_the_one_of_the_results_stops_everything_but_on_the_persons_word(
    workspace: Workspace, server: Sandbox, tmp_path: Path, mishap: Callable[[Path, Path], None], words: str
) -> None:
    older = Path(shutil.copy(workspace.places.ledger, tmp_path / "older.db"))
    write_csv(workspace.folder / "in.csv", sale_rows(30))
    workspace.run()
    mishap(workspace.places.ledger, older)
    for _ in range(2):  # a refusal must not make the next one pass
        with pytest.raises(LedgerError, match=words) as caught:
            workspace.run()
        assert "--new-ledger" in str(caught.value)
    assert len(server.received) == 30

    summary = workspace.run(new_ledger=True)
    assert summary["rows"]["delivered"] == 0  # the platform itself refuses what it has
    assert workspace.run()["run_id"] > summary["run_id"]


def test_a_ledger_that_must_exist_is_not_made_new(tmp_path: Path, server: Sandbox) -> None:
    fresh = Workspace(tmp_path, server.base_url)
    fresh.sales(ledger="must_exist = true")
    write_csv(fresh.folder / "in.csv", sale_rows(2))
    with pytest.raises(LedgerError, match="must_exist"):
        fresh.run()
    assert fresh.run(new_ledger=True)["exit_code"] == 0


def test_a_ledger_of_an_older_version_knows_its_operations_by_its_own_hashes(tmp_path: Path, server: Sandbox) -> None:
    place = Workspace(tmp_path, server.base_url)
    place.sales()
    at = place.places.ledger
    Ledger.open(at).close()
    alter(at, "UPDATE meta SET value = 'blake2b' WHERE name = 'hash'")  # as a migration leaves it
    write_csv(tmp_path / "in.csv", sale_rows(3))
    place.run()
    with place.ledger() as ledger:
        old = Identity(ledger.hash_key, place.load().api.origin, is_event=True, kind=HashKind.BLAKE2B)
        parts = pl.DataFrame({"parts": [f"{lead}\0{DEDUPED}\0" for lead in leads(3)]})
        keys = parts.select(old.operations(pl.col("parts"))).to_series().to_list()
        assert set(ledger.events(keys)) == set(keys)
    write_csv(tmp_path / "in.csv", sale_rows(4))
    assert place.run()["reasons"] == {"ledger": 3, "conversion": 1}
    assert sorted(fired(server.received)) == leads(4)


def test_a_summary_that_cannot_be_read_does_not_hide_the_one_before(workspace: Workspace) -> None:
    second = workspace.run()
    (workspace.results(second) / "summary.json").write_text("{")
    workspace.places.ledger.unlink()
    with pytest.raises(LedgerError, match="is gone"):
        workspace.run()


# -- locks -------------------------------------------------------------------------------------------------------------


def refused(workspace: Workspace) -> Onlooker:
    """Tries to run the workspace's job as soon as the plan of another run stands, and must not be let."""

    def try_it(_: Prepared) -> None:
        with pytest.raises(Locked, match=f"process {os.getpid()} since"):
            workspace.run()

    return Onlooker(on_plan=try_it)


def test_a_job_does_not_run_twice_at_once(workspace: Workspace) -> None:
    assert workspace.run(refused(workspace))["exit_code"] == 0


def test_two_jobs_of_events_do_not_run_at_once_whatever_their_routes(workspace: Workspace, server: Sandbox) -> None:
    job = workspace.load()
    workspace.job(
        *("campaign-event", 'name = "other"'),
        api='campaign_id = "cmp_sandbox"',
        fields=f'event_id = {{ value = "{DEDUPED}" }}',
    )
    assert workspace.run(refused(workspace), job=job)["exit_code"] == 0
    assert workspace.run()["job"] == "other"


def test_updates_of_a_common_campaign_do_not_run_at_once(workspace: Workspace) -> None:
    write_csv(
        workspace.folder / "in.csv", {**update_rows([("a", "Rome"), ("b", "Oslo")]), "Campaign": ["cmp_a", "cmp_b"]}
    )
    workspace.updates(api='campaign_id = { column = "Campaign" }')
    job = workspace.load()
    workspace.updates(top='name = "other"', api='campaign_id = "cmp_b"')
    assert workspace.run(refused(workspace), job=job)["rows"]["delivered"] == 2


def test_jobs_that_share_nothing_may_run_at_once_over_one_ledger(workspace: Workspace) -> None:
    """As two that cron starts at the same minute: the second is all done between the plan of the first and its end."""
    jobs, summaries = {}, {}
    for name in ("a", "b"):
        rows = update_rows([(lead, "Rome") for lead in leads(50, name)])
        write_csv(workspace.folder / f"{name}.csv", rows)
        workspace.updates(top=f'name = "{name}"', source=f'path = "{name}.csv"', api=f'campaign_id = "cmp_{name}"')
        jobs[name] = workspace.load()

    def run_the_other(_: Prepared) -> None:
        summaries["b"] = workspace.run(job=jobs["b"])

    summaries["a"] = workspace.run(Onlooker(on_plan=run_the_other), job=jobs["a"])
    for name in ("a", "b"):
        outcomes = workspace.outcomes(summaries[name])
        assert outcomes["transaction_id"].to_list() == leads(50, name)
        assert counted(outcomes, "outcome") == {"delivered": 50}
    assert workspace.run(job=jobs["a"])["reasons"] == workspace.run(job=jobs["b"])["reasons"] == {"same_row": 50}


def test_a_lock_that_a_dead_process_left_does_not_block(workspace: Workspace) -> None:
    locks = workspace.places.locks
    assert list(locks.glob("*.lock"))
    for lock in locks.glob("*.lock"):
        lock.with_suffix(".json").write_text('{"pid": 1, "since": "2020-01-01 00:00:00"}')
    assert workspace.run()["exit_code"] == 0


def test_a_run_that_is_over_leaves_neither_its_lock_nor_its_private_folder(workspace: Workspace) -> None:
    locks, runs = workspace.places.locks, workspace.places.run("x").parent
    kept = {path.name for path in locks.iterdir()}
    write_csv(workspace.folder / "in.csv", sale_rows(25))
    stopped = workspace.run(limit=1)
    assert [path.name for path in runs.iterdir()] == [stopped["run_id"]]
    assert len({path.name for path in locks.iterdir()} - kept) == 1
    assert workspace.run(new_run=True)["abandoned"] == [stopped["run_id"]]
    assert {path.name for path in locks.iterdir()} == kept
    assert list(runs.iterdir()) == []


def test_what_a_finished_run_left_that_died_in_its_last_moment_goes_with_the_next_one(workspace: Workspace) -> None:
    with workspace.ledger() as ledger:
        [first] = ledger.runs()
    left = private_folder(workspace.places.run(first.run_id))
    (left / "plan.arrow").write_text("txn_00007")
    half = workspace.places.results / first.run_id / ".summary.json.part"
    half.write_text("{")
    with Locks(workspace.places.locks) as locks:
        locks.take(f"run {first.run_id}", "the run")
    before = len(list(workspace.places.locks.iterdir()))
    workspace.run()
    assert not left.exists()
    assert not half.exists()
    assert not is_held(workspace.places.locks, f"run {first.run_id}")
    assert len(list(workspace.places.locks.iterdir())) == before - 1


# -- secrets and personal data -----------------------------------------------------------------------------------------


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_whatever_a_run_makes_is_for_its_owner_only(tmp_path: Path, server: Sandbox) -> None:
    private = Workspace(tmp_path, server.base_url)
    private.sales()
    write_csv(private.folder / "in.csv", {**sale_rows(3), "Payout": ["1", "x", "3"]})
    modes: dict[str, int] = {}

    def look(*_: object) -> None:
        for made in (private.folder / ".batchpost", private.folder / "results"):
            for path in (made, *made.rglob("*")):
                if path.exists():
                    modes[str(path)] = stat.S_IMODE(path.stat().st_mode) | (0o100 if path.is_file() else 0)

    private.run(Onlooker(on_plan=look, on_progress=look))
    look()
    assert {path: oct(mode) for path, mode in modes.items() if mode != 0o700} == {}
    assert {Path(path).suffix for path in modes} >= {".db", ".lock", ".arrow", ".log", ".csv"}


def test_ledger_journal_and_plan_hold_no_personal_data_and_nothing_holds_the_token(
    tmp_path: Path, server: Sandbox
) -> None:
    token, org = "canary-token-8d1f", "org_canary_77"
    secret = Workspace(tmp_path, server.base_url, environ={"TOKEN": token, "ORG": org})
    secret.updates(fields='date_of_birth = { column = "Born" }\nmobile = { column = "Phone" }')
    rows = update_rows([(lead, "Canaryville") for lead in leads(30)])
    rows |= {"Born": ["1971-03-09"] * 29 + ["9 March 1971"], "Phone": ["2125550123"] * 28 + ["55501"] * 2}
    write_csv(secret.folder / "in.csv", rows)
    server.configure(token=token)
    kept: dict[str, bytes] = {}

    def keep(*_: object) -> None:
        kept.update({str(path): path.read_bytes() for path in files(secret.folder / ".batchpost")})

    summary = secret.run(Onlooker(on_plan=keep, on_progress=keep), limit=20)
    keep()
    assert summary["rows"]["delivered"] == 20
    kept["summary"] = (secret.results(summary) / "summary.json").read_bytes()
    canaries = (b"@mail.example.com", b"1971-03-09", b"9 March 1971", b"2125550123", b"55501", b"Canaryville")
    assert [(path, word) for path, content in kept.items() for word in canaries if word in content] == []
    assert any(path.endswith("plan.arrow") for path in kept)
    assert any(path.endswith("sitting-0001.log") for path in kept)
    everything = [path.read_bytes() for path in files(secret.folder) if path.name not in ("in.csv", "job.toml")]
    assert not [content for content in (*everything, *kept.values()) if token.encode() in content]


def test_ids_of_leads_are_in_the_results_only_once_the_run_is_over(workspace: Workspace) -> None:
    left = [path.name for path in files(workspace.folder / ".batchpost") if b"txn_00007" in path.read_bytes()]
    assert left == []


def test_a_planted_link_is_not_followed(workspace: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    spool = private_folder(workspace.places.run("next-job")) / "plan.arrow"
    spool.symlink_to(target)
    assert workspace.run()["exit_code"] == 0
    assert (target.read_text(), spool.is_symlink()) == ("precious", False)


def test_a_missing_secret_stops_before_anything_is_made(tmp_path: Path, server: Sandbox) -> None:
    bare = Workspace(tmp_path, server.base_url, environ={})
    bare.sales()
    write_csv(bare.folder / "in.csv", sale_rows(2))
    with pytest.raises(UsageError, match="ORG"):
        bare.run()
    assert not (tmp_path / ".batchpost").exists()


def test_an_updates_campaign_without_a_token_is_named_before_anything_is_sent(
    workspace: Workspace, server: Sandbox
) -> None:
    before = len(server.received)
    rows = {**update_rows([("a", "Rome"), ("b", "Oslo")]), "Campaign": ["cmp_a", "cmp_b"]}
    write_csv(workspace.folder / "in.csv", rows)
    workspace.updates(
        top='name = "other"', api='campaign_id = { column = "Campaign" }\ntokens = { cmp_a = "env:TOKEN" }\n-token'
    )
    with pytest.raises(UsageError, match="cmp_b"):
        workspace.run()
    assert len(server.received) == before == len(fired(server.received))
