"""How a run went over time: requests and latencies in buckets of time, from the journal of all its sittings.

The latencies are those of the attempts that settled a row. They are counted in classes that are two per cent wide, so
that memory does not grow with the rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

__all__ = ["Timeline"]

_CLASS = 0.04  # the width of a class of latencies, as a difference of logarithms
_LEAST = 0.01  # milliseconds
_FINEST = 4_096  # buckets that are kept while rows come in
_SHOWN = 240
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_COLUMNS = ("bucket", "class", "rows")


class Timeline:
    """Takes settled rows as a journal tells them."""

    def __init__(self) -> None:
        self._step = 1  # seconds
        self._classes = pl.DataFrame(schema={"bucket": pl.Int64, "class": pl.Int32, "rows": pl.UInt32})

    def add(self, settled: pl.DataFrame) -> None:
        """Take in settled rows, as :data:`batchpost.settled.SETTLED`."""
        latency = pl.max_horizontal(pl.col("latency_ms"), pl.lit(_LEAST)).log()
        new = settled.group_by(
            (pl.col("settled_at").cast(pl.Int64) // self._step).alias("bucket"),
            (latency / _CLASS).round().cast(pl.Int32).alias("class"),
        ).agg(pl.len().cast(pl.UInt32).alias("rows"))
        self._classes = pl.concat([self._classes, new]).group_by("bucket", "class").agg(pl.col("rows").sum())
        while self._classes.height and _span(self._classes["bucket"]) > _FINEST:
            self._step *= 2
            self._classes = _coarser(self._classes, 2)

    def as_dict(self, seconds: Mapping[int, int]) -> dict[str, Any]:
        """``summary.timeline``, with the requests that started in each second of Unix time; empty without any."""
        if not seconds:
            return {}
        first, last = min(seconds), max(*seconds, self._last())
        step = _nice(max(1, math.ceil((last - first + 1) / (_SHOWN - 1))), self._step)
        began = first // step * step
        count = (last - began) // step + 1
        requests = [0] * count
        for second, started in seconds.items():
            requests[(second - began) // step] += started
        classes = _coarser(self._classes, step // self._step).sort("bucket", "class")
        found = {bucket: _percentiles(part) for (bucket,), part in classes.group_by("bucket", maintain_order=True)}
        rows = [found.get(began // step + index, {}) for index in range(count)]
        return {
            "began": began,
            "step": step,
            "requests": requests,
            **{name: [row.get(name) for row in rows] for name in _SHARES},
        }

    def _last(self) -> int:
        return _bounds(self._classes["bucket"])[1] * self._step


def _bounds(buckets: pl.Series) -> tuple[int, int]:
    """The first and the last one; zeros where there is none."""
    first, last = buckets.min(), buckets.max()
    return (first, last) if isinstance(first, int) and isinstance(last, int) else (0, 0)


def _span(buckets: pl.Series) -> int:
    first, last = _bounds(buckets)
    return last - first + 1


def _coarser(classes: pl.DataFrame, by: int) -> pl.DataFrame:
    bucket = (pl.col("bucket") // by).alias("bucket")
    return classes.with_columns(bucket).group_by("bucket", "class").agg(pl.col("rows").sum())


def _nice(least: int, unit: int) -> int:
    """Seconds a bucket: ``least`` or more, a multiple of ``unit``, and one that people count in where there is one."""
    steps: Iterable[int] = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 86_400)
    fitting = (step for step in steps if step >= least and step % unit == 0)
    return next(fitting, math.ceil(least / unit) * unit)


def _percentiles(classes: pl.DataFrame) -> dict[str, float]:
    """Milliseconds by nearest rank, of one bucket's classes in their order."""
    upto = classes["rows"].cast(pl.Int64).cum_sum()
    total = int(upto[-1])
    ranks = {name: int(upto.search_sorted(math.ceil(share * total))) for name, share in _SHARES.items()}
    return {name: round(math.exp(classes["class"][rank] * _CLASS), 2) for name, rank in ranks.items()}
