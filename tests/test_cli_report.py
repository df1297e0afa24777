from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchpost.sandbox import Sandbox
from batchpost.sandbox_faults import parse_faults
from tests.commands import Done, call
from tests.reports import Page
from tests.workspaces import ENVIRON, Onlooker, Workspace, sale_rows, write_csv


@pytest.fixture
def sales(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A job of ten conversions, one of them without money."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(workspace.folder)
    workspace.sales()
    rows = sale_rows(10)
    rows["Payout"][4] = "n/a"
    write_csv(workspace.folder / "in.csv", rows)
    return workspace


def results(place: Workspace) -> Path:
    [folder] = (place.folder / "results" / "job").iterdir()
    return folder


def page(done: Done, place: Workspace) -> Page:
    """The page that a `report` command named."""
    assert (done.code, done.err) == (0, "")
    return Page((place.folder / done.out.strip()).read_text())


# -- at the end of a run ---------------------------------------------------------------------------------------------


def test_a_run_leaves_its_page_with_what_it_printed_as_next(sales: Workspace) -> None:
    assert call("run", "job.toml").code == 1
    found = Page((results(sales) / "report.html").read_text())
    assert found.text("h1") == ["No. 9 of 10 rows are in, 1 is not."]
    kept = json.loads((results(sales) / "summary.json").read_text())
    [following] = found.text("div", class_="next")
    assert following.startswith(f"Next batchpost run job.toml --source results/job/{kept['run_id']}/to_fix.csv ")
    assert "A test." in found.text("p", class_="test")[0]
    assert {path.stat().st_mode & 0o777 for path in results(sales).iterdir()} == {0o600}


def test_every_sitting_renews_the_page(sales: Workspace) -> None:
    assert call("run", "job.toml", "--limit", "2").code == 6
    first = Page((results(sales) / "report.html").read_text())
    assert first.text("h1") == ["No. 2 of 10 rows are in, 8 are not."]
    assert call("run", "job.toml").code == 1
    second = Page((results(sales) / "report.html").read_text())
    assert second.text("h1") == ["No. 9 of 10 rows are in, 1 is not."]


def test_the_page_shows_neither_secrets_nor_people(sales: Workspace) -> None:
    call("run", "job.toml")
    source = (results(sales) / "report.html").read_text()
    assert [word for word in (*ENVIRON.values(), "mail.example.com") if word in source] == []
    assert "env:ORG" in source


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_page_that_cannot_be_written_is_told_and_changes_nothing(sales: Workspace, log_format: str) -> None:
    call("run", "job.toml", "--limit", "2")
    kept = results(sales)
    (kept / "report.html").unlink()
    (kept / "report.html" / "in the way").mkdir(parents=True)
    done = call("run", "job.toml", "--log-format", log_format)
    assert done.code == 1
    assert "report_not_written" in done.err
    assert "Is a directory" in done.err
    assert json.loads((kept / "summary.json").read_text())["exit_code"] == 1
    assert (kept / "outcomes.csv").exists()


# -- the command -----------------------------------------------------------------------------------------------------


def test_a_page_is_made_anew_in_the_results_or_elsewhere(sales: Workspace) -> None:
    call("run", "job.toml")
    before = page(call("report", "latest"), sales)
    (results(sales) / "report.html").unlink()
    assert page(call("report", "job"), sales).text("h1") == before.text("h1")
    elsewhere = call("report", "latest", "-o", sales.folder / "copy.html")
    assert elsewhere.out == "copy.html\n"
    assert Page((sales.folder / "copy.html").read_text()).text("h1") == before.text("h1")


def test_a_run_that_died_gets_a_page_from_the_job_it_was_made_of(sales: Workspace) -> None:
    class Power(Exception):
        pass

    def fail(_: object) -> None:
        raise Power

    with pytest.raises(ExceptionGroup):
        sales.run(Onlooker(on_progress=fail))
    found = page(call("report", "latest"), sales)
    assert found.text("section", id="job")[0].startswith("The job as it was run With all its defaults")
    assert "the run died." in found.text("p", class_="soft")[0]
    assert found.text("div", class_="next")[0].startswith("Next batchpost run job.toml")


def test_a_job_that_was_changed_since_is_not_taken_for_the_one_that_ran(sales: Workspace) -> None:
    sales.run()
    sales.sales(rows='where = "revenue > 20"')
    found = page(call("report", "latest"), sales)
    assert "It is not known any more" in found.text("section", id="job")[0]


def test_the_job_that_the_run_left_counts_before_the_file(sales: Workspace) -> None:
    call("run", "job.toml")
    sales.sales(rows='where = "revenue > 20"')
    [shown] = page(call("report", "latest"), sales).text("pre")
    assert "event_id" in shown
    assert "where" not in shown


def test_what_a_person_decided_since_is_told(sales: Workspace, server: Sandbox) -> None:
    sales.sales(dedupe=False, delivery="rate = 100000\nconcurrency = 1\nmax_failures = 1000")
    write_csv(sales.folder / "in.csv", sale_rows(3))
    server.configure(faults=parse_faults("error=1"))
    assert call("run", "job.toml").code == 3
    unknown = page(call("report", "latest"), sales)
    assert unknown.text("h1") == ["No. 0 of 3 rows are in, of 3 it is not known."]
    assert "Rows without a known end to this day: 3." in unknown.text("p")
    assert call("resolve", "latest", "--not-delivered", "--rows", "1,2").code == 0
    told = page(call("report", "latest"), sales).text("p")
    assert "Rows without a known end to this day: 1." in told
    assert "A person decided of 2 of its rows: not delivered." in told
    assert "Due again, and not sent since: 2." in told


def test_results_that_were_forgotten_leave_a_page_without_rows(sales: Workspace) -> None:
    call("run", "job.toml")
    assert call("forget", "--older-than", "0s").code == 0
    left = {path.name for path in results(sales).iterdir()}
    assert left & {"report.html", "job.toml", "outcomes.csv"} == set()
    found = page(call("report", "latest"), sales)
    assert found.text("h1") == ["No. 9 of 10 rows are in, 1 is not."]
    assert found.all("section", id="slowest") == []


def test_results_that_are_gone_are_refused_with_the_way_out(sales: Workspace) -> None:
    call("run", "job.toml")
    folder = results(sales)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    refused = call("report", "latest")
    assert refused.code == 2
    assert "the results of this run are gone" in refused.err
    assert call("report", "latest", "-o", sales.folder / "copy.html").code == 0
    assert Page((sales.folder / "copy.html").read_text()).text("h1")[0].startswith("Not known.")


def test_a_run_that_does_not_exist_is_refused(sales: Workspace) -> None:
    call("run", "job.toml")
    done = call("report", "nonsense")
    assert (done.code, done.out) == (2, "")
    assert "there is no run or job nonsense" in done.err
