"""Where each campaign's requests go and with which credential: references resolved, at the last moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batchpost.errors import UsageError
from batchpost.job import Job
from batchpost.model import Row, Target
from batchpost.routes import Credential
from batchpost.secrets import is_reference, read_secret
from batchpost.transport import Heads, Origin

__all__ = ["Targets"]


class Targets:
    """The targets of a job's campaigns, and the way there: ``proxy`` is the HTTP proxy's URL, None without one.

    Secrets are read at construction. Raises SecretError.
    """

    def __init__(self, job: Job, environ: Mapping[str, str]) -> None:
        self._job, self._environ = job, environ
        self._targets: dict[str | None, Target] = {}
        self.org_id = self._read(job.api.org_id) if job.spec.credential is Credential.ORG_IN_PATH else ""
        self._tokens = {campaign: self._read(reference) for campaign, reference in job.api.tokens.items()}
        self._token = self._read(job.api.token) if job.spec.credential is Credential.BEARER and job.api.token else ""
        proxy = job.api.proxy
        self.proxy = self._read(proxy) if proxy and is_reference(proxy) else proxy

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
                raise UsageError(f"[api.tokens] has no token for the campaign {names}, which the input names")
        heads = Heads(Origin.parse(self._job.api.base_url))
        for campaign in named:
            try:
                heads.of(self(campaign))
            except ValueError as error:
                whose = "[api] org_id" if campaign is None else f"the campaign {campaign!r}"
                raise UsageError(f"{whose} cannot be sent: {error}") from None

    def renewed(self, row: Row) -> Row | None:
        """The row under a token that was put in place since; None if the token is still the same (or unreadable)."""
        campaign = row.target.campaign_id
        reference = self._job.api.tokens.get(campaign) or self._job.api.token
        if reference is None or not row.target.token:
            return None
        try:
            token = self._read(reference)
        except UsageError:
            return None
        if token == row.target.token:
            return None
        self._targets[campaign] = renewed = Target(row.target.path, campaign, token)
        return row._replace(target=renewed)

    def _make(self, campaign: str | None) -> Target:
        route = self._job.spec
        if route.credential is Credential.BEARER:
            token = self._tokens.get(campaign or "", self._token)
            return Target(route.path_for(campaign or ""), campaign or "", token)
        if route.credential is Credential.ORG_IN_PATH:
            return Target(route.path_for(self.org_id))
        return Target(route.path, campaign or "")

    def _read(self, reference: str | None) -> str:
        if reference is None:
            raise UsageError("the job names no credential for its route")
        return read_secret(reference, self._job.workspace, self._environ)
