"""The rules of a whole job beyond the kind of each value: what a route needs and forbids, what contradicts what."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult

from batchpost.address import address_fault, is_address, shown, split_url
from batchpost.expectrules import expect_findings
from batchpost.fieldrules import field_findings, near_field
from batchpost.job import ROUTE_KEYS, ByColumn, Job, Value
from batchpost.jobtext import Finding, did_you_mean
from batchpost.kinds import unreadable_ending
from batchpost.notifyrules import notify_findings
from batchpost.routes import Credential
from batchpost.secrets import is_reference
from batchpost.toml_lines import Place
from batchpost.whererule import where_findings

__all__ = ["POSTGRESQL", "general_findings", "postponed", "route_findings"]

_LATER = "is not supported by this version"
POSTGRESQL = f"postgresql {_LATER}"
_POSTPONED = {
    ("source", "date"): "name the file with --source",
    ("source", "timezone"): "name the file with --source",
    ("source", "wait"): "remove it; without an input a run ends with 66 and can be started again",
    ("source", "after"): 'remove it; take = "new" leaves finished files alone',
    ("delivery", "window"): "start the run when it may send",
    ("delivery", "timezone"): "start the run when it may send",
}
_REFERENCES = "env:NAME, file:PATH or credential:NAME"


def postponed(tree: dict[str, Any]) -> list[Finding]:
    """What the contract names and this version does not do; taken out of ``tree``, refused and never ignored."""
    findings = []
    for place, hint in _POSTPONED.items():
        *above, key = place
        table = tree.get(above[0], {}) if above else tree
        if isinstance(table, dict) and key in table:
            del table[key]
            findings.append(Finding(place, _LATER, hint))
    return findings


def general_findings(job: Job) -> Iterator[Finding]:
    """Mistakes that do not depend on the route."""
    yield from _address(job)
    yield from _source(job)
    yield from field_findings(job)
    yield from where_findings(job)
    yield from expect_findings(job)
    yield from notify_findings(job)
    yield from _ledger(job)
    if not job.results.directory.strip():
        yield Finding(("results", "directory"), "is empty", 'write a folder like "results"')


def route_findings(job: Job) -> Iterator[Finding]:
    """What the job's route needs and forbids: keys, secrets, campaigns and fields."""
    yield from _foreign_keys(job)
    yield from _credentials(job)
    if job.spec.by_campaign:
        yield from _campaigns(job)
    yield from _fields(job)
    if job.api.server_dedupe and job.rows.key:
        message = "contradicts server_dedupe: the platform refuses a second event of a lead whatever the key is"
        yield Finding(("rows", "key"), message, "keep one of the two")
    yield from _dedupe(job)


def _address(job: Job) -> Iterator[Finding]:
    if problem := _bad_address(job):
        yield Finding(("api", "base_url"), *problem)
    proxy, ca_file = job.api.proxy, job.api.ca_file
    if proxy is not None and not is_reference(proxy):
        url = _ascii_url(proxy)
        if url is None or url.scheme not in ("http", "https") or not url.hostname:
            yield Finding(
                ("api", "proxy"), "is not an http or https URL", "write one like http://proxy.example.com:3128"
            )
        elif "@" in url.netloc:
            hint = f"give the whole URL as {_REFERENCES}"
            yield Finding(("api", "proxy"), "holds a password, which does not belong in a job file", hint)
    if ca_file is not None and not ca_file.strip():
        yield Finding(("api", "ca_file"), "is empty", "remove it, or name a PEM file")


def _bad_address(job: Job) -> tuple[str, str] | None:
    url = _ascii_url(job.api.base_url)
    if url is None or url.scheme not in ("http", "https") or not url.hostname:
        return "is not an https URL", "write one like https://api.pingtree.com"
    if "@" in url.netloc:
        return "holds a user or password", "remove all before the @"
    if url.scheme == "http" and not job.api.is_loopback:
        return "must be https: plain http is for loopback addresses only", "write https:// in place of http://"
    if url.path.strip("/") or url.query or url.fragment or "?" in job.api.base_url or "#" in job.api.base_url:
        return "holds more than scheme, host and port", "remove the path; the route knows it"
    return None


def _ascii_url(text: str) -> SplitResult | None:
    return split_url(text) if text.isascii() else None


def _source(job: Job) -> Iterator[Finding]:
    given = job.source.path
    paths = [given] if isinstance(given, str) else given
    if not paths:
        yield Finding(("source", "path"), "is empty", "name a file, a folder or a pattern")
    for index, path in enumerate(paths):
        place = ("source", "path") if isinstance(given, str) else ("source", "path", index)
        if problem := _bad_path(path):
            yield Finding(place, *problem)
    source = job.source
    if source.encoding is not None and not _is_encoding(source.encoding):
        yield Finding(("source", "encoding"), "is not a text encoding", 'write one like "cp1252"')
    if source.delimiter is not None and source.delimiter in (source.quote, "\n", "\r"):
        yield Finding(("source", "delimiter"), "cannot be a line end or the quote", 'write one like ";"')


def _bad_path(path: str) -> tuple[str, str] | None:
    if not path.strip():
        return "is empty", "name a file, a folder or a pattern"
    if is_address(path):
        return _bad_source_address(path)
    if "{date" in path:
        return f"holds {{date}}, which {_LATER}", "name the file with --source, or write a pattern like conv-*.csv"
    if reason := unreadable_ending(path):
        message, _, hint = reason.partition(": ")
        return f"cannot be read: {message}", hint
    return None


def _bad_source_address(address: str) -> tuple[str, str] | None:
    if fault := address_fault(address):
        return fault
    if "@" in address.partition("://")[2].partition("/")[0]:
        return "holds a password, which others could read", 'put the address into a variable and write "env:NAME"'
    if reason := unreadable_ending(shown(address)):
        message, _, hint = reason.partition(": ")
        return f"cannot be read: {message}", hint
    return None


def _is_encoding(name: str) -> bool:
    try:
        return bool(codecs.lookup(name)._is_text_encoding)  # bytes to bytes codecs such as base64 are none
    except (LookupError, ValueError):
        return False


def _ledger(job: Job) -> Iterator[Finding]:
    url = job.ledger.url
    if url.startswith(("postgresql:", "postgres:")):
        yield Finding(("ledger", "url"), POSTGRESQL, 'write "sqlite:.batchpost/ledger.db"')
    elif not re.fullmatch(r"sqlite:(?!//)\s*\S.*|env:[A-Za-z_][A-Za-z0-9_]*", url):
        yield Finding(("ledger", "url"), "must be sqlite:PATH or env:NAME", 'write "sqlite:.batchpost/ledger.db"')


def _foreign_keys(job: Job) -> Iterator[Finding]:
    for (table, key), routes in ROUTE_KEYS.items():
        if job.route not in routes and key in getattr(job, table).model_fields_set:
            message = f"is for {' and '.join(routes)} only; this job's route is {job.route}"
            yield Finding((table, key), message, "remove it")


def _credentials(job: Job) -> Iterator[Finding]:
    api = job.api
    secrets: list[tuple[Place, str | None]] = [(("api", "org_id"), api.org_id), (("api", "token"), api.token)]
    secrets += [(("api", "tokens", campaign), token) for campaign, token in api.tokens.items()]
    for place, text in secrets:
        if text is not None and not is_reference(text):
            hint = "put the secret into the environment and write env:ITS_NAME"
            yield Finding(place, f"must be {_REFERENCES}, never the secret itself", hint)
    if job.spec.credential is Credential.ORG_IN_PATH and api.org_id is None:
        yield Finding(("api", "org_id"), f"is missing: {job.route} needs it", 'write org_id = "env:PINGTREE_ORG_ID"')
    if job.spec.credential is Credential.BEARER and api.token is None and not api.tokens:
        key = "tokens" if "tokens" in api.model_fields_set else "token"
        message = f"is missing: {job.route} needs the enrichment token"
        yield Finding(("api", key), message, 'write token = "env:PINGTREE_TOKEN"', absent=True)
    if api.token is not None and api.tokens:
        yield Finding(("api", "token"), "contradicts tokens", "keep one of the two")


def _campaigns(job: Job) -> Iterator[Finding]:
    place = ("api", "campaign_id")
    campaign = job.api.campaign_id
    if campaign is None:
        hint = 'write campaign_id = "cmp_…" or { column = "…" }'
        yield Finding(place, f"is missing: {job.route} needs it", hint)
    elif isinstance(campaign, ByColumn):
        yield from _campaign_map(campaign)
    elif not campaign.strip() or is_reference(campaign):
        yield Finding(place, "must be the campaign's id itself", 'write one like "cmp_9z8y7x6w"')
    yield from _campaign_tokens(job)


def _campaign_map(campaign: ByColumn) -> Iterator[Finding]:
    place = ("api", "campaign_id")
    if not campaign.column.strip():
        yield Finding((*place, "column"), "is empty", "name the column as the header does")
    if campaign.map is not None and not campaign.map:
        yield Finding((*place, "map"), "is empty", "remove it, or say what becomes what", absent=True)
    seen: dict[str, str] = {}
    for word, identity in (campaign.map or {}).items():
        if not identity.strip():
            yield Finding((*place, "map", word), "is empty", "write the campaign's id")
        if seen.setdefault(word.strip().casefold(), identity) != identity:
            message = "is there twice with different campaigns (case and outer blanks are ignored)"
            yield Finding((*place, "map", word), message, "keep one")


def _campaign_tokens(job: Job) -> Iterator[Finding]:
    campaign, tokens = job.api.campaign_id, job.api.tokens
    by_column = (campaign.map or {}) if isinstance(campaign, ByColumn) else {}
    known = {campaign} if isinstance(campaign, str) else set(by_column.values())
    if not tokens or not known:
        return
    for identity in tokens:
        if identity not in known:
            message = "is a token of a campaign that this job does not reach"
            yield Finding(
                ("api", "tokens", identity), message, did_you_mean(identity, known) or "remove it", spare=True
            )
    for identity in sorted(known - set(tokens)):
        yield Finding(("api", "tokens"), f"has no token for campaign {identity}", "add it", absent=True)


def _fields(job: Job) -> Iterator[Finding]:
    unknown = [name for name, given in job.fields.items() if name not in job.spec.fields and not given.custom]
    in_body = job.spec.credential is Credential.CAMPAIGN_IN_BODY
    near = {name: near_field(name, job.spec) for name in unknown if not (in_body and name == "cid")}
    for name, documented in near.items():
        if documented:
            hint = f'did you mean "{documented}"? A custom field of this name needs custom = true'
            yield Finding(("fields", name), f"is not a documented field of {job.route}", hint)
    for name, rule in job.spec.fields.items():
        if rule.required and name not in job.fields and name not in near.values():
            yield Finding(("fields", name), f"is missing: {job.route} needs it", f'write {name} = {{ column = "…" }}')
    if in_body and "cid" in job.fields:
        yield Finding(("fields", "cid"), "is not given as a field", "write it as [api] campaign_id")
    date = job.fields.get("conversion_date")
    if date and date.send_as is not None and "conversion_timezone" in job.fields:
        message = "is there twice: conversion_date's send_as sends it already"
        yield Finding(("fields", "conversion_timezone"), message, "keep one of the two")


def _dedupe(job: Job) -> Iterator[Finding]:
    """An asserted event id that no row can have is a typing mistake: the retries that rest on it would not happen."""
    entry = job.fields.get("event_id")
    if entry is None or isinstance(job.api.server_dedupe, bool):
        return
    sent = [entry.value] if entry.value is not None else list((entry.map or {}).values())
    if isinstance(entry.otherwise, Value):
        sent.append(entry.otherwise.value)
    words = [str(word) for word in sent]
    for index, event in enumerate(job.api.server_dedupe):
        if words and event not in words:
            message = "names an event that [fields] event_id never sends"
            yield Finding(
                ("api", "server_dedupe", index), message, did_you_mean(event, words) or "remove it", spare=True
            )
