from __future__ import annotations

from collections import Counter
from random import Random

import polars as pl
import pytest

from batchpost.timeline import Timeline

BEGAN = 1_750_000_000


def settled(*rows: tuple[float, float]) -> pl.DataFrame:
    """Rows by when they were settled (seconds after the beginning) and their latency in milliseconds."""
    times, latencies = zip(*rows, strict=True)
    return pl.DataFrame(
        {"settled_at": [BEGAN + at for at in times], "latency_ms": latencies},
        schema_overrides={"latency_ms": pl.Float64},
    )


def test_nothing_sent_is_no_timeline() -> None:
    assert Timeline().as_dict({}) == {}


def test_requests_and_latencies_stand_in_the_second_that_they_are_of() -> None:
    timeline = Timeline()
    timeline.add(settled((0.5, 10.0), (0.9, 10.0), (2.1, 40.0)))
    found = timeline.as_dict({BEGAN: 2, BEGAN + 1: 1})
    assert (found["began"], found["step"], found["requests"]) == (BEGAN, 1, [2, 1, 0])
    assert found["p50"] == [pytest.approx(10, rel=0.02), None, pytest.approx(40, rel=0.02)]


def test_percentiles_are_by_nearest_rank_within_two_per_cent() -> None:
    random = Random(7)
    latencies = sorted(random.lognormvariate(3, 1) for _ in range(2_000))
    timeline = Timeline()
    for part in range(0, 2_000, 500):
        timeline.add(settled(*((0.0, latency) for latency in latencies[part : part + 500])))
    found = timeline.as_dict(Counter({BEGAN: 2_000}))
    for name, rank in (("p50", 1_000), ("p95", 1_900), ("p99", 1_980)):
        assert found[name] == [pytest.approx(latencies[rank - 1], rel=0.0203)]


@pytest.mark.parametrize("hours", [0.05, 0.1, 1, 9, 40, 24 * 40])
def test_a_long_run_has_no_more_buckets_and_loses_no_request(hours: float) -> None:
    random = Random(3)
    length = int(hours * 3600)
    seconds = Counter(BEGAN + random.randrange(length) for _ in range(3_000))
    timeline = Timeline()
    times = sorted(second - BEGAN for second in seconds.elements())
    for part in range(0, 3_000, 750):
        timeline.add(settled(*((float(at), 5.0) for at in times[part : part + 750])))
    found = timeline.as_dict(seconds)
    lengths = {len(found[name]) for name in ("requests", "p50", "p95", "p99")}
    assert len(lengths) == 1
    assert lengths.pop() <= 240
    assert sum(found["requests"]) == 3_000
    assert found["began"] % found["step"] == 0
    with_latency = [value is not None for value in found["p50"]]
    assert with_latency == [count > 0 for count in found["requests"]]


def test_a_latency_of_nothing_is_a_small_one() -> None:
    timeline = Timeline()
    timeline.add(settled((0.0, 0.0)))
    assert timeline.as_dict({BEGAN: 1})["p99"] == [0.01]
