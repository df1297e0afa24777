from __future__ import annotations

from pathlib import Path

import pytest

from batchpost.errors import SecretError, UsageError
from batchpost.model import Target
from batchpost.targets import Targets
from tests.fakes import a_row
from tests.jobtexts import job_text, load

ENVIRON = {"ORG": "org_9", "TOKEN": "t-main", "TOKEN_A": "t-a"}
BY_COLUMN = 'campaign_id = { column = "Campaign" }'
TOKEN_A = 'tokens = { cmp_a = "env:TOKEN_A" }'


def targets(folder: Path, route: str, api: str = "", environ: dict[str, str] | None = None) -> Targets:
    return Targets(load(folder, job_text(route, api=api)), ENVIRON if environ is None else environ)


def test_an_event_goes_to_the_organisations_path_without_a_token(tmp_path: Path) -> None:
    found = targets(tmp_path, "global-event")
    assert found(None) == Target("/api/event/global/org_9")
    assert found.org_id == "org_9"


def test_a_campaigns_event_needs_no_secret_at_all(tmp_path: Path) -> None:
    assert targets(tmp_path, "campaign-event", environ={})("cmp_a") == Target("/api/event/trigger", "cmp_a")


def test_an_update_goes_to_its_campaign_with_the_one_token(tmp_path: Path) -> None:
    found = targets(tmp_path, "update-lead", BY_COLUMN)
    assert found("cmp_a") == Target("/api/lead/update/cmp_a", "cmp_a", "t-main")
    assert found("cmp/b") == Target("/api/lead/update/cmp%2Fb", "cmp/b", "t-main")
    assert found("cmp_a") is found("cmp_a")


def test_an_update_goes_out_with_its_campaigns_own_token(tmp_path: Path) -> None:
    tokens = 'tokens = { cmp_a = "env:TOKEN_A", cmp_b = "env:TOKEN" }'
    found = targets(tmp_path, "update-lead", f"{BY_COLUMN}\n{tokens}\n-token")
    assert [found(campaign).token for campaign in ("cmp_a", "cmp_b")] == ["t-a", "t-main"]


def test_a_campaign_without_a_token_is_named(tmp_path: Path) -> None:
    found = targets(tmp_path, "update-lead", f"{BY_COLUMN}\n{TOKEN_A}\n-token")
    found.check({"cmp_a"})
    with pytest.raises(UsageError, match="campaign cmp_b, cmp_c,"):
        found.check({"cmp_c", "cmp_a", "cmp_b"})
    targets(tmp_path, "update-lead", BY_COLUMN).check({"cmp_b"})


@pytest.mark.parametrize("campaign", [".", ".."])
def test_a_campaign_that_would_be_another_path_is_named(tmp_path: Path, campaign: str) -> None:
    with pytest.raises(UsageError, match=rf"the campaign '{campaign}' cannot be sent: .*another path"):
        targets(tmp_path, "update-lead", BY_COLUMN).check({"cmp_a", campaign})
    targets(tmp_path, "campaign-event", BY_COLUMN).check({campaign})  # there it is in the body


@pytest.mark.parametrize("org_id", [".", ".."])
def test_an_organisation_that_would_be_another_path_is_refused_without_showing_it(tmp_path: Path, org_id: str) -> None:
    with pytest.raises(UsageError, match=r"^\[api\] org_id cannot be sent: an id must not be \. or \.\., which"):
        targets(tmp_path, "global-event", environ={"ORG": org_id}).check(set())
    targets(tmp_path, "global-event").check(set())


@pytest.mark.parametrize(
    ("proxy", "found"),
    [("", None), ('proxy = "http://proxy:3128"', "http://proxy:3128"), ('proxy = "env:PROXY"', "http://u:pw@p:3128")],
)
def test_a_proxy_is_given_as_it_is_or_by_reference(tmp_path: Path, proxy: str, found: str | None) -> None:
    environ = {**ENVIRON, "PROXY": "http://u:pw@p:3128"}
    assert targets(tmp_path, "campaign-event", proxy, environ).proxy == found


def test_a_proxy_whose_secret_is_missing_is_found_at_once(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="PROXY is not set"):
        targets(tmp_path, "campaign-event", 'proxy = "env:PROXY"')


@pytest.mark.parametrize("route", ["global-event", "update-lead"])
def test_a_missing_secret_is_found_at_once(tmp_path: Path, route: str) -> None:
    with pytest.raises(SecretError, match="is not set"):
        targets(tmp_path, route, environ={})


def test_a_token_put_in_place_since_is_taken_up_and_the_same_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old\n")
    found = targets(tmp_path, "update-lead", 'token = "file:token"')
    row = a_row(target=found("cmp_a"))
    assert found.renewed(row) is None
    (tmp_path / "token").write_text("new\n")
    renewed = found.renewed(row)
    assert renewed is not None
    assert renewed == row._replace(target=Target("/api/lead/update/cmp_a", "cmp_a", "new"))
    assert found("cmp_a").token == "new"
    assert found.renewed(renewed) is None
    (tmp_path / "token").unlink()
    assert found.renewed(renewed) is None


def test_a_target_says_where_its_token_comes_from(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old\n")
    found = targets(tmp_path, "update-lead", 'token = "file:token"')
    assert found("cmp_a").token_from == "file:token"
    (tmp_path / "token").write_text("new\n")
    renewed = found.renewed(a_row(target=found("cmp_a")))
    assert renewed is not None
    assert renewed.target.token_from == "file:token"
    assert targets(tmp_path, "update-lead", f"-token\n{TOKEN_A}")("cmp_a").token_from == "env:TOKEN_A"
    assert targets(tmp_path, "global-event")(None).token_from == ""


def test_an_event_has_no_token_to_renew(tmp_path: Path) -> None:
    found = targets(tmp_path, "global-event")
    assert found.renewed(a_row(target=found(None))) is None


def test_nothing_secret_shows(tmp_path: Path) -> None:
    found = targets(tmp_path, "update-lead")
    shown = repr(found("cmp_a")) + repr(found)
    assert shown == "Target(campaign_id='cmp_a')<Targets of job, 1 campaigns>"
