"""The benchmarks' own arithmetic: what a server's record says, what is read from others, the page and its chart."""

from __future__ import annotations

import random
import shutil
from array import array
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.__main__ import PARTS, main
from bench.answering import Seen, bucket, fixed, read_record, sliding
from bench.figures import Figure, Part, load, ratios, save
from bench.limits import busiest_second
from bench.page import ABOUT, CHART, chart, number, page, table
from bench.peers import BODY, curl, hey, usual_loop, wrk
from bench.plot import nice_top
from bench.process import Failed, Ran, Sample, cpu_between, run
from bench.sampled import counted, report
from bench.setting import Setting, shown
from bench.slowdown import mean_in_flight, recovered_after, refused_share, through

DOCS = Path(__file__).parent.parent / "docs"


def seen(arrivals: Sequence[float], *, refused: Sequence[int] = (), in_flight: int = 1) -> list[Seen]:
    """A server's record: these arrivals, those of ``refused`` (by place) answered with 429."""
    return [Seen(at, at, 429 if place in refused else 201, in_flight) for place, at in enumerate(arrivals)]


def ran(out: str, *, wall: float = 2.0, cpu: float = 1.0) -> Ran:
    return Ran(out, 0.0, wall, cpu, 50.0, [])


# -- what a server saw -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrivals", "most"),
    [([], 0), ([3.0], 1), ([0.0, 0.5, 1.0], 2), ([0.0, 0.5, 0.999], 3), ([0.0, 1.9, 2.0, 2.1, 2.8, 3.0], 4)],
)
def test_the_busiest_second_is_any_window_open_at_its_end(arrivals: list[float], most: int) -> None:
    assert busiest_second(arrivals) == most


def test_the_busiest_second_is_what_counting_from_every_arrival_gives() -> None:
    random_ = random.Random(3)
    arrivals = sorted(random_.uniform(0, 10) for _ in range(300))
    assert busiest_second(arrivals) == max(sum(at <= other < at + 1.0 for other in arrivals) for at in arrivals)


def test_what_got_through_is_a_share_of_what_was_allowed_meanwhile() -> None:
    assert through(seen([0.0, 1.0, 2.0, 3.0, 4.0], refused=[1]), allowed=2) == 0.5


def test_refusals_count_after_the_time_that_finding_the_limit_may_take() -> None:
    record = seen([100.0, 101.0, 110.0, 111.0, 112.0, 113.0], refused=[0, 1, 3])
    assert refused_share(record, 10.0) == 0.25
    assert refused_share(record, 60.0) == 0.0


def test_requests_in_flight_are_those_of_the_arrivals_between() -> None:
    record = seen([50.0, 51.0], in_flight=20) + seen([52.0, 53.0], in_flight=4)
    assert mean_in_flight(record, 0, 2) == 20
    assert mean_in_flight(record, 1, 3) == 12


@pytest.mark.parametrize(("slow_until", "after"), [(20.0, 0.0), (23.0, 2.9), (26.5, 6.4)])
def test_a_run_has_recovered_in_the_first_second_that_is_as_before(slow_until: float, after: float) -> None:
    arrivals = [place / 10 for place in range(400) if not 10.0 <= place / 10 < slow_until]
    assert recovered_after(seen(arrivals), 10.0, 20.0) == pytest.approx(after)


def test_a_run_that_stays_slow_never_recovers() -> None:
    arrivals = [place / 10 for place in range(100)] + [float(place) for place in range(10, 40)]
    assert recovered_after(seen(arrivals), 10.0, 20.0) == float("inf")


@pytest.mark.parametrize(("make", "times", "expected"), [
    (sliding, [0.0, 0.1, 0.2, 0.9, 1.0, 1.05, 1.1], [True, True, False, False, True, False, True]),
    (fixed, [0.8, 0.9, 0.95, 1.0, 1.1, 1.2], [True, True, False, True, True, False]),
])  # fmt: skip
def test_a_limit_serves_so_many_in_its_second(make: type, times: list[float], expected: list[bool]) -> None:
    allows = make(2)
    assert [allows(now) for now in times] == expected


def test_a_bucket_serves_a_tenth_of_a_second_at_once_and_then_as_it_fills() -> None:
    allows = bucket(100)
    assert [allows(5.0) for _ in range(11)] == [True] * 10 + [False]
    assert [allows(5.0101), allows(5.0102)] == [True, False]


def test_a_record_is_read_by_arrival(tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(array("d", [2.0, 2.5, 429, 3, 1.0, 4.0, 201, 1]).tobytes())
    assert read_record(tmp_path / "record") == [Seen(1.0, 4.0, 201, 1), Seen(2.0, 2.5, 429, 3)]


# -- processes -------------------------------------------------------------------------------------------------------


def test_cpu_between_two_instants_is_by_the_samples_inside() -> None:
    samples = [Sample(0.0, 0.0), Sample(1.0, 5.0), Sample(2.0, 5.1), Sample(3.0, 5.3), Sample(4.0, 9.0)]
    assert cpu_between(samples, 0.5, 3.5) == pytest.approx(0.15)


def test_a_command_that_ends_badly_is_named_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"(?s)^sh -c .* ended with 3\nno\n$"):
        run(["sh", "-c", "echo no >&2; exit 3"], folder=tmp_path)
    assert run(["sh", "-c", "echo yes; exit 3"], folder=tmp_path, codes=(3,)).out == "yes\n"


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="took too long"):
        run(["sleep", "60"], folder=tmp_path, timeout=0)


# -- others ----------------------------------------------------------------------------------------------------------

URL = "http://127.0.0.1:8201/x"


def test_what_hey_says_is_read(tmp_path: Path) -> None:
    peer = hey(tmp_path, URL, 1_000, 64)
    assert peer.requests == 960
    assert (
        peer.rate(ran("  Requests/sec:\t39919.02\n\nStatus code distribution:\n  [201]\t960 responses\n")) == 39919.02
    )
    with pytest.raises(Failed):
        peer.rate(ran("  Requests/sec:\t39919.02\n  [201]\t900 responses\n  [502]\t60 responses\n"))
    with pytest.raises(Failed):
        peer.rate(ran("  Requests/sec:\t39919.02\nError distribution:\n  [960]\tPost: connection refused\n"))


def test_what_wrk_says_is_read(tmp_path: Path) -> None:
    peer = wrk(tmp_path, URL, 3, 64)
    assert BODY in (tmp_path / "post.lua").read_text()
    assert peer.rate(ran("Requests/sec: 105480.95\nTransfer/sec: 26MB\n")) == 105480.95
    with pytest.raises(Failed):
        peer.rate(ran("  Non-2xx or 3xx responses: 7\nRequests/sec: 105480.95\n"))


def test_curl_gets_one_request_after_the_other_and_its_start_counts(tmp_path: Path) -> None:
    peer = curl(tmp_path, URL, 3, 64)
    requests = (tmp_path / "curl.conf").read_text().split("\nnext\n")
    assert [request.splitlines()[0] for request in requests] == [f'url = "{URL}"'] * 3
    assert peer.rate(ran("", wall=1.5)) == 2.0


def test_the_usual_loop_tells_its_own_rate(tmp_path: Path) -> None:
    peer = usual_loop(tmp_path, "leads.csv", URL, 100, 64)
    assert peer.rate(ran("431.5\n")) == 431.5
    compile((tmp_path / "loop.py").read_text(), "loop.py", "exec")


def test_contestants_take_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []
    found = Setting(tmp_path, rounds=2).interleaved(
        {name: lambda n=name: order.append(n) or len(order) for name in "ab"}
    )
    assert order == ["a", "b", "a", "b"]
    assert found == {"a": [1, 3], "b": [2, 4]}
    assert "round 2: b" in capsys.readouterr().err


def test_a_command_is_shown_without_this_machines_paths_and_ports() -> None:
    command = ["hey", "-d", BODY, "http://127.0.0.1:35147/api", Path("/tmp/bench/record")]
    assert shown(command, Path("/tmp/bench")) == f"hey -d '{BODY}' http://127.0.0.1:$PORT/api record"


# -- figures and the page --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("least", "most", "reached"), [
    (None, None, None), (2.0, None, True), (2.1, None, False), (None, 2.0, True), (None, 1.9, False), (1.0, 1.5, False),
])  # fmt: skip
def test_an_aim_is_reached_by_the_median(least: float | None, most: float | None, reached: bool | None) -> None:
    assert Figure("x", "s", [1.0, 2.0, 30.0], least=least, most=most).is_reached is reached
    assert Figure("x", "s", [], least=least, most=most).is_reached is None


def test_a_ratio_is_between_runs_of_one_round() -> None:
    assert ratios([10.0, 30.0], [5.0, 10.0]) == [2.0, 3.0]
    assert ratios([10.0], []) == []


@pytest.mark.parametrize(("value", "text"), [
    (0.1234, "0.12"), (12.34, "12.3"), (123.4, "123"), (48230.7, "48,231"), (-16.31, "-16.3"), (float("inf"), "inf"),
])  # fmt: skip
def test_a_number_has_the_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_the_table_says_what_was_reached_missed_and_left_out() -> None:
    figures = [
        Figure("quick", "s", [1.0, 3.0, 2.0], most=2),
        Figure("slow", "rows/s", [1234.0], least=2000, about="start to exit"),
        Figure("hey", "requests/s", [], about="not installed: skipped"),
    ]
    assert table([Part("start", figures)]).splitlines()[2:] == [
        "| **start** | | | | | |",
        "| quick | 2.00 s | 1.00 to 3.00 | 3 | ≤ 2 | yes |",
        "| slow (start to exit) | 1,234 rows/s |  | 1 | ≥ 2,000 | **no** |",
        "| hey (not installed: skipped) | | | 0 |  | |",
    ]


def test_parts_of_one_machine_and_day_share_a_line() -> None:
    here, there = {"cpu": "A", "cores": "2"}, {"cpu": "B", "cores": "4"}
    parts = {
        "growth": Part("growth", [], measured="2025-11-02", machine=there),
        "rate": Part("rate", [], measured="2025-11-01", machine=here),
        "start": Part("start", [Figure("x", "s", [1.0], ["sleep 1"])], measured="2025-11-01", machine=here),
    }
    text = page(parts)
    assert "- 2025-11-01, cpu A, cores 2: start, rate\n" in text
    assert "- 2025-11-02, cpu B, cores 4: growth\n" in text
    assert "```text\n# x\nsleep 1\n```" in text
    assert CHART not in text


def test_figures_of_a_busy_machine_are_marked() -> None:
    part = Part("rate", [], measured="2025-11-01", machine={"cpu": "A"}, others=0.4)
    assert "- 2025-11-01, cpu A: rate (while others used 40% of it: to be measured again)\n" in page({"rate": part})


def test_every_part_is_told_of() -> None:
    assert list(PARTS) == list(ABOUT)


def test_what_was_measured_comes_back_from_its_file(tmp_path: Path) -> None:
    part = Part(
        "growth", [Figure("x", "s", [1.0, 2.5], ["sleep 1"], most=3)], "2025-11-01", {"cpu": "A"}, [{"rows": 10.0}]
    )
    save(tmp_path / "kept.json", {"growth": part})
    assert load(tmp_path / "kept.json") == {"growth": part}
    assert load(tmp_path / "none.json") == {}


def test_the_page_is_what_its_file_says(tmp_path: Path) -> None:
    """After a change of the page's text: ``python -m bench --render``."""
    shutil.copy(DOCS / "performance.json", tmp_path)
    assert main(["--render", "--docs", str(tmp_path)]) == 0
    written = sorted(path.name for path in tmp_path.iterdir())
    assert [name for name in written if (tmp_path / name).read_bytes() != (DOCS / name).read_bytes()] == []
    assert (CHART in written) == ("growth" in load(DOCS / "performance.json"))


def test_the_chart_has_every_point_inside_its_panel() -> None:
    points = [{"rows": 10.0**power, "rate": power * 9_000.0, "resident": 200.0} for power in range(4, 8)]
    root = ET.fromstring(chart(points))
    circles = root.findall(".//{*}circle")
    assert len(circles) == 8
    assert all(
        0 < float(circle.get("cx", "0")) < 380 and 40 <= float(circle.get("cy", "0")) <= 218 for circle in circles
    )
    heights = [float(circle.get("cy", "0")) for circle in circles[:4]]
    assert heights == sorted(heights, reverse=True)
    assert {"10,000,000", "63,000", "200"} <= {text.text for text in root.findall(".//{*}text")}


@pytest.mark.parametrize(("value", "top"), [(200.0, 200), (201.0, 400), (63_000.0, 80_000), (0.07, 0.08), (9.0, 10)])
def test_an_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert nice_top(value) == pytest.approx(top)


def test_a_part_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["throughputs"])
    assert ended.value.code == 2
    assert "there is no part throughputs" in capsys.readouterr().err


# -- the profile -----------------------------------------------------------------------------------------------------

RAW = """\
_run (<frozen runpy>:1);main (batchpost/cli.py:9);send (batchpost/send.py:3);post (batchpost/lane.py:20);write (x:1) 60
_run (<frozen runpy>:1);main (batchpost/cli.py:9);fold (batchpost/fold.py:3);read (batchpost/outcomes.py:20) 20
post (batchpost/lane.py:20) 10
main (batchpost/cli.py:9) 5
select (selectors.py:1) 5
"""


def test_a_look_belongs_to_its_outermost_phase_and_its_innermost_module() -> None:
    assert counted(RAW.splitlines()) == {
        ("send", "lane"): 70, ("fold", "outcomes"): 20, ("start", "cli"): 5, ("unclear", "other"): 5,
    }  # fmt: skip


def test_the_report_spreads_the_cpu_of_a_row_and_names_what_no_look_saw() -> None:
    """100 looks are 0.2 of the 0.4 seconds of CPU: half of 4 µs a row was seen."""
    lines = {
        line[:24].strip(): line[24:].split() for line in report(counted(RAW.splitlines()), 100_000, 0.4).splitlines()
    }
    assert lines["send"] == ["35.0%", "1.40"]
    assert lines["outcomes"] == ["10.0%", "0.40"]
    assert lines["not Python"] == ["50.0%", "2.00"]
    assert lines["all"] == ["100.0%", "4.00"]
