"""Mistakes in job files, as a run tells them."""

from __future__ import annotations

from tests.commands import Done
from tests.mishaps.stage import Scenario, Stage

__all__ = ["SCENARIOS"]


def job(route: str = "global-event", top: str = "", **tables: str) -> Scenario:
    """A run of a job with these lines put in, beside a sound input."""

    def act(stage: Stage) -> Done:
        stage.rows()
        stage.job(route, top, **tables)
        return stage.run()

    return act


def text(before: str, after: str) -> Scenario:
    """A run of the sound job with a piece of its text replaced."""

    def act(stage: Stage) -> Done:
        sound = stage.job()
        assert before in sound
        stage.write(sound.replace(before, after))
        return stage.run()

    return act


def many_at_once(stage: Stage) -> Done:
    stage.job(
        api='server_dedupe = ["sale"]',
        source='encodng = "cp1252"',
        delivery="rate = 0\nconcurrency = 2.5",
        fields='revenue = { column = "Payout", min = 500, max = 5 }',
    )
    return stage.run()


def several_jobs(stage: Stage) -> Done:
    stage.rows()
    stage.write(stage.job().replace("sale_completed", "sale").replace("org_id", "orgid"), "jobs/weekly.toml")
    stage.job(delivery="rate = 0")
    return stage.say("run", "jobs/nightly.toml", "jobs/weekly.toml")


def checked(stage: Stage) -> Done:
    stage.rows()
    stage.job(delivery="rte = 50\nmax_failures = 7.5")
    return stage.say("check", "jobs/nightly.toml")


def planned(stage: Stage) -> Done:
    stage.rows()
    stage.job(delivery="rte = 50")
    return stage.say("plan", "jobs/nightly.toml")


def field_in_the_defaults(stage: Stage) -> Done:
    stage.job()
    stage.write('[delivery]\nrate = 50\n\n[fields]\ncity = { column = "City" }\n', "batchpost.toml")
    return stage.run()


def not_utf8(stage: Stage) -> Done:
    stage.write(stage.job().replace("Payout", "Prämie").encode("latin-1"))
    return stage.run()


def campaign_without_a_token(stage: Stage) -> Done:
    stage.rows(2, Campaign=["cmp_a", "cmp_b"])
    stage.job("update-lead", api='-token\ncampaign_id = { column = "Campaign" }\ntokens = { cmp_a = "env:TOKEN" }')
    return stage.run()


SCENARIOS: dict[str, Scenario] = {
    "quote-missing": text('route = "global-event"', 'route = "global-event'),
    "key-twice": text('route = "global-event"', 'route = "global-event"\nname = "other"'),
    "table-twice": text("[delivery]", '[source]\npath = "x.csv"\n\n[delivery]'),
    "backslash": text('path = "exports/conv.csv"', r'path = "exports\conv.csv"'),
    "not-utf8": not_utf8,
    "route-missing": text('route = "global-event"\n', ""),
    "route-mistyped": text('"global-event"', '"global-events"'),
    "key-unknown": job(delivery="rte = 50"),
    "key-elsewhere": job(source="rate = 50"),
    "table-unknown": text("[delivery]", "[deliver]"),
    "number-in-quotes": job(delivery='rate = "50"'),
    "number-out-of-range": job(delivery="rate = 0"),
    "share-unreadable": job(delivery='max_failures = "five"'),
    "many-at-once": many_at_once,
    "several-jobs": several_jobs,
    "checked": checked,
    "planned": planned,
    "field-in-the-defaults": field_in_the_defaults,
    "secret-in-the-file": job(api='org_id = "org_4711"'),
    "address-not-https": job(api='base_url = "http://api.example.com"'),
    "address-with-a-path": job(api='base_url = "https://api.example.com/api/v1"'),
    "proxy-with-a-password": job(api='proxy = "http://user:hush@proxy.example.com:3128"'),
    "field-mistyped": job(fields='-revenue\nrevenu = { column = "Payout" }'),
    "field-required": job(fields="-event_id"),
    "field-as-text": text('revenue = { column = "Payout" }', 'revenue = "Payout"'),
    "column-missing": job(fields='revenue = { column = "Payuot" }'),
    "column-missing-in-where": job(rows="where = \"revenue > 0 AND Regoin = 'US'\""),
    "key-with-server-dedupe": job(api='server_dedupe = ["sale_completed"]', rows='key = ["City"]'),
    "dedupe-never-sent": job(api='server_dedupe = ["sale_complete"]'),
    "token-missing": job("update-lead", api="-token"),
    "campaign-without-a-token": campaign_without_a_token,
    "campaign-missing": job("campaign-event", api="-campaign_id"),
    "timezone-unknown": job(
        fields='conversion_date = { column = "City", timezone = "America/New York City", send_as = "EST" }'
    ),
    "send-as-unknown": job(
        fields='conversion_date = { column = "City", timezone = "America/New_York", send_as = "UTC" }'
    ),
    "date-format": job(fields='conversion_date = { column = "City", format = "MM/DD/YYYY" }'),
    "pattern-unreadable": job(fields='transaction_id = { column = "Lead", pattern = "^txn_(" }'),
    "limits-swapped": job(fields='revenue = { column = "Payout", min = 500, max = 5 }'),
    "map-without-otherwise-word": job(
        fields='event_id = { column = "City", map = { Rome = "sale_completed" }, otherwise = "ignore" }'
    ),
    "where-no-sql": job(rows='where = "revenue >"'),
    "where-over-rows": job(rows='where = "revenue > AVG(revenue)"'),
    "expect-range": job(expect='rows = "1000-6000"'),
    "expect-reason-unknown": job(expect='reasons = { lead_not_fond = "2%" }'),
    "stop-when-unknown": job(delivery='stop_when = { acepted = "1%" }'),
    "ledger-postgresql": job(ledger='url = "postgresql://db/ledger"'),
    "source-not-supported": job(source='path = "gs://bucket/conv.csv"'),
    "window-not-there-yet": job(delivery='window = "22:00-07:00"'),
    "notify-no-reference": job(notify='webhook = "https://hooks.example.com/T0/B0/hush"'),
}
