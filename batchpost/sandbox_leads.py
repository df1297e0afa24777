"""The leads that the sandbox knows, from a CSV or Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchpost.errors import UsageError
from batchpost.sandbox_platform import Lead

if TYPE_CHECKING:
    import polars as pl

__all__ = ["load_leads"]

_HEADERS = {
    "transaction_id": ("transactionid", "leadid", "txnid", "tid"),
    "campaign_id": ("campaignid", "offercampaignid", "cid"),
    "pid": ("pid", "sourceid"),
}


def load_leads(path: Path) -> dict[str, Lead]:
    """Leads by transaction id; columns ``transaction_id`` (or ``Lead ID`` and the like), ``campaign_id`` and ``pid``
    where they are there. Raises ``UsageError`` for a file that cannot be read or has no such column."""
    # One Lead for each pair of campaign and source: millions of leads share a few.
    shared: dict[tuple[str, str], Lead] = {}
    leads: dict[str, Lead] = {}
    for transaction_id, *rest in _table(path).iter_rows():
        if transaction_id:
            lead = Lead(*rest)
            leads[transaction_id] = shared.setdefault(lead, lead)
    return leads


def _table(path: Path) -> pl.DataFrame:
    import polars as pl

    try:
        is_parquet = path.suffix.lower() == ".parquet"
        frame = pl.read_parquet(path) if is_parquet else pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"leads: cannot read {path}: {error}") from error
    plain = {"".join(filter(str.isalnum, name.lower())): name for name in frame.columns}
    found = {field: next((plain[name] for name in names if name in plain), None) for field, names in _HEADERS.items()}
    if found["transaction_id"] is None:
        raise UsageError(f"leads: {path} has no column transaction_id; it has {', '.join(frame.columns)}")
    return frame.select(
        pl.lit("").alias(field) if name is None else pl.col(name).cast(pl.String).fill_null("").alias(field)
        for field, name in found.items()
    )
