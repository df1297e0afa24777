"""Where each campaign's requests go and with which credential: references resolved, at the last moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batchpost.address import split_url
from batchpost.errors import UsageError
from batchpost.job import Job
from batchpost.model import Row, Target
from batchpost.routes import Credential
from batchpost.secrets import is_reference, read_secret
from batchpost.transport import Heads, Origin, tls_context

__all__ = ["Targets"]

_PROXY = "http://proxy.example.com:3128"


class Targets:
    """The targets of a job's campaigns, and the way there: ``proxy`` is the HTTP proxy's URL, None without one.

    Secrets are read at construction, and what ``ca_file`` names. Raises SecretError, and UsageError for what is no
    proxy's address or no certificate.
    """

    def __init__(self, job: Job, environ: Mapping[str, str]) -> None:
        self._job, self._environ = job, environ
        self._targets: dict[str | None, Target] = {}
        self.org_id = self._read(job.api.org_id) if job.spec.credential is Credential.ORG_IN_PATH else ""
        self._tokens = {campaign: self._read(reference) for campaign, reference in job.api.tokens.items()}
        self._token = self._read(job.api.token) if job.spec.credential is Credential.BEARER and job.api.token else ""
        proxy = job.api.proxy
        self.proxy = self._read(proxy) if proxy and is_reference(proxy) else proxy
        if self.proxy and not _is_proxy(self.proxy):
            raise UsageError(f"[api] proxy: {proxy} must hold an address like {_PROXY}", then="{check}")
        if job.api.ca_file and (self.proxy or Origin.parse(job.api.base_url).scheme == "https"):
            tls_context(str(job.workspace / job.api.ca_file))

    def __repr__(self) -> str:
        return f"<Targets of {self._job.name}, {len(self._targets)} campaigns>"

    def __call__(self, campaign: str | None) -> Target:
        """The target of a campaign id; None is the organisation's."""
        found = self._targets.get(campaign)
        if found is None:
            found = self._targets[campaign] = self._make(campaign)
        return found

    def check(self, campaigns: Iterable[str]) -> None:
        """Raises UsageError where an update's campaign has no token, or an id cannot stand in a request's head."""
        route = self._job.spec
        named: list[str | None] = [*sorted(campaigns)] if route.by_campaign else [None]
        if route.credential is Credential.BEARER and not self._token:
            missing = [str(campaign) for campaign in named if campaign not in self._tokens]
            if missing:
                names = ", ".join(missing)
                told = f"[api.tokens] has no token for the campaign {names}, which the input names. Add it"
                raise UsageError(told, then="{plan}")
        heads = Heads(Origin.parse(self._job.api.base_url))
        for campaign in named:
            try:
                heads.of(self(campaign))
            except ValueError as error:
                whose = "[api] org_id" if campaign is None else f"the campaign {campaign!r}"
                raise UsageError(f"{whose} cannot be sent: {error}", then="{plan}") from None

    def renewed(self, row: Row) -> Row | None:
        """The row under a token that was put in place since; None if the token is still the same (or unreadable)."""
        campaign = row.target.campaign_id
        reference = self._reference(campaign)
        if reference is None or not row.target.token:
            return None
        try:
            token = self._read(reference)
        except UsageError:
            return None
        if token == row.target.token:
            return None
        self._targets[campaign] = renewed = Target(row.target.path, campaign, token, reference)
        return row._replace(target=renewed)

    def _make(self, campaign: str | None) -> Target:
        route = self._job.spec
        if route.credential is Credential.BEARER:
            token = self._tokens.get(campaign or "", self._token)
            return Target(route.path_for(campaign or ""), campaign or "", token, self._reference(campaign) or "")
        if route.credential is Credential.ORG_IN_PATH:
            return Target(route.path_for(self.org_id))
        return Target(route.path, campaign or "")

    def _reference(self, campaign: str | None) -> str | None:
        """How the job refers to the token of a campaign."""
        return self._job.api.tokens.get(campaign or "") or self._job.api.token

    def _read(self, reference: str | None) -> str:
        if reference is None:
            raise UsageError("the job names no credential for its route")
        return read_secret(reference, self._job.workspace, self._environ)


def _is_proxy(text: str) -> bool:
    url = split_url(text)
    return url is not None and url.scheme in ("http", "https") and bool(url.hostname)
