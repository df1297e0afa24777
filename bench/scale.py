"""Ten million rows: how speed and memory grow, what a big ledger costs, and how soon an interrupted run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from bench.figures import Figure, Part, ratios
from bench.servers import answering, free_port, nginx
from bench.setting import Setting, shown
from bench.work import COMMAND, Done, Workspace, expect, leads, workspace

__all__ = ["growth", "resume"]

MOST = 10_000_000
SMALLER = (10_000, 100_000, 1_000_000)
RESIDENT = {1_000_000: 500.0, MOST: 700.0}  # megabytes at most
STOPPED = 9_000_000  # rows settled when a run is interrupted
NEXT = 1_000  # rows of the runs that only show how soon the first one is sent


def growth(setting: Setting) -> Part:
    """Rows a second and memory from ten thousand rows to ten million; a million beside the ledger that is left then."""
    with nginx(setting.folder, free_port()) as port, workspace(setting.folder, "big") as big:
        url = f"http://127.0.0.1:{port}"
        big.job("update-lead", url)
        runs = setting.interleaved(
            {size: partial(_fresh, setting, url, setting.rows(size)) for size in SMALLER}, setting.few
        )
        runs |= setting.interleaved({MOST: partial(_send, setting, big, setting.rows(MOST))}, 1)
        beside = _beside_a_ledger(setting, big, url)
    figures, points = [], []
    for size, done in runs.items():
        rate, resident = _grown(setting, size, done)
        figures += [rate, resident]
        points.append({"rows": setting.rows(size), "rate": rate.value, "resident": resident.value})
    return Part("growth", [*figures, beside], points=points)


def _grown(setting: Setting, size: int, runs: Sequence[Done]) -> tuple[Figure, Figure]:
    rows = setting.rows(size)
    return (
        Figure(f"{rows:,} rows", "rows/s", [rows / done.ran.wall for done in runs], [shown(COMMAND, setting.folder)]),
        Figure(
            f"{rows:,} rows, memory",
            "MB",
            [done.ran.resident for done in runs],
            most=RESIDENT.get(size),
            about="resident at most, processes that it starts added",
        ),
    )


def _beside_a_ledger(setting: Setting, big: Workspace, url: str) -> Figure:
    """A million new rows in the workspace whose ledger has ten, and in an empty one."""
    rows, most = setting.rows(1_000_000), setting.rows(MOST)
    new = iter(range(most, 2 * most, rows))
    contestants: dict[str, Callable[[], Done]] = {
        "beside a big ledger": lambda: _send(setting, big, rows, first=next(new)),
        "beside none": partial(_fresh, setting, url, rows),
    }
    found = setting.interleaved(contestants, setting.few)
    with_one, without = ([done.ran.wall for done in runs] for runs in found.values())
    slower = [(ratio - 1) * 100 for ratio in ratios(with_one, without)]
    return Figure(
        f"{rows:,} rows beside a ledger of {most:,}: longer", "%", slower, [shown(COMMAND, setting.folder)], most=20
    )


def _fresh(setting: Setting, url: str, rows: int) -> Done:
    with workspace(setting.folder) as work:
        work.job("update-lead", url)
        return _send(setting, work, rows)


def _send(setting: Setting, work: Workspace, rows: int, first: int = 0) -> Done:
    work.source(leads(setting.folder, rows, first=first))
    return expect(work.run(rows=rows), delivered=rows)


# -- going on --------------------------------------------------------------------------------------------------------


def resume(setting: Setting) -> Part:
    """A run of ten million stopped after nine: how soon its next row goes out; how soon nothing is left to do."""
    folder, rows, stopped = setting.folder, setting.rows(MOST), setting.rows(STOPPED)
    port = free_port()
    limits = {limit: ("--limit", str(limit)) for limit in (stopped, NEXT)}
    with workspace(folder, "stopped") as work:
        work.job("update-lead", f"http://127.0.0.1:{port}")
        work.source(leads(folder, rows))
        with nginx(folder, port):
            expect(work.run(*limits[stopped], rows=rows, codes=(6,)), delivered=stopped)
        waits = setting.interleaved({"until the next row": partial(_wait, setting, work, port, rows)}, setting.few)
        with nginx(folder, port):
            work.run(rows=rows)
            again = setting.interleaved({"the same content": partial(_nothing_new, work, rows)}, setting.few)
            work.source(leads(folder, rows, also=True))
            other = setting.interleaved({"another file": partial(_nothing_new, work, rows)}, 1)
    [waited], [same], [another] = waits.values(), again.values(), other.values()
    command = shown(COMMAND, folder)
    until_stopped, until_next = (f"{command} {' '.join(options)}" for options in limits.values())
    return Part(
        "resume",
        [
            Figure(
                f"stopped after {stopped:,} of {rows:,}: the next row",
                "s",
                waited,
                [until_stopped, until_next],
                most=10,
                about="from the start of the process to its first request, at the server",
            ),
            Figure(f"the same {rows:,} again, nothing to send", "s", same, [command], most=40),
            Figure(
                f"another file with the same {rows:,}, nothing to send",
                "s",
                another,
                [command],
                most=90,
                about="one column more",
            ),
        ],
    )


def _wait(setting: Setting, work: Workspace, port: int, rows: int) -> float:
    with answering(setting.folder, port) as platform:
        done = work.run("--limit", str(NEXT), rows=rows, codes=(6,))
    return platform.seen()[0].arrived - done.ran.started


def _nothing_new(work: Workspace, rows: int) -> float:
    return expect(work.run(rows=rows), already_delivered=rows).ran.wall
