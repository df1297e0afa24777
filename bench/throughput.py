"""A million rows to a server that answers at once: batchpost from start to exit, beside others that only post."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.figures import Figure, Part, ratios
from bench.peers import Peer, Speed, curl, hey, usual_loop, wrk
from bench.servers import certificate, free_port, nginx
from bench.setting import Setting, shown
from bench.work import COMMAND, expect, leads, workspace

__all__ = ["measure"]

ROWS = 1_000_000
IN_FLIGHT = 64
PATH = "/api/lead/update/cmp_sandbox"
TIMES = "times"
OURS = ("update-lead", "global-event", "update-lead over TLS")


def measure(setting: Setting) -> Part:
    """Rows a second and CPU a row of updates, of events and over TLS; hey, wrk, curl and the usual loop beside them."""
    folder, rows = setting.folder, setting.rows(ROWS)
    file = leads(folder, rows)
    ca_file = certificate(folder)
    with ExitStack() as stack:
        plain = f"http://127.0.0.1:{stack.enter_context(nginx(folder, free_port()))}"
        secure = f"https://127.0.0.1:{stack.enter_context(nginx(folder, free_port(), tls=True))}"
        peers = _peers(setting, file, plain + PATH, secure + PATH)
        update, event, over_tls = OURS
        contestants: dict[str, Callable[[], Speed]] = {
            update: partial(_ours, folder, file, rows, "update-lead", plain),
            **{name: peer.measure for name, peer in peers.items() if peer.is_installed},
            event: partial(_ours, folder, file, rows, "global-event", plain),
            over_tls: partial(_ours, folder, file, rows, "update-lead", secure, ca_file),
        }
        found = setting.interleaved(contestants)
    return Part("throughput", [*_figures(found, folder), *_figures_of_peers(found, peers, folder)])


def _peers(setting: Setting, file: Path, plain: str, secure: str) -> dict[str, Peer]:
    folder, rows = setting.folder, setting.rows(ROWS)
    return {
        "hey": hey(folder, plain, rows, IN_FLIGHT),
        "hey over TLS": hey(folder, secure, rows, IN_FLIGHT),
        "wrk": wrk(folder, plain, setting.seconds(10), IN_FLIGHT),
        "curl --parallel": curl(folder, plain, setting.rows(20_000), IN_FLIGHT),
        "csv + httpx loop": usual_loop(folder, file.name, plain, setting.rows(4_000), IN_FLIGHT),
    }


def _ours(folder: Path, file: Path, rows: int, route: str, url: str, ca_file: Path | None = None) -> Speed:
    with workspace(folder) as work:
        work.job(route, url, concurrency=IN_FLIGHT, ca_file=ca_file)
        work.source(file)
        done = expect(work.run(rows=rows), delivered=rows)
    return Speed(rows / done.ran.wall, done.ran.cpu / rows * 1e6, rows / done.sending)


def _figures(found: Mapping[str, Sequence[Speed]], folder: Path) -> list[Figure]:
    update, event, over_tls = OURS
    command = [shown(COMMAND, folder)]
    rates = {name: [speed.rate for speed in speeds] for name, speeds in found.items()}

    def beside(name: str, other: str, least: float) -> Figure:
        return Figure(f"{name}, beside {other}", TIMES, ratios(rates[name], rates.get(other, [])), least=least)

    return [
        Figure(
            update, "rows/s", rates[update], command, about="from start to exit, journal, ledger and results included"
        ),
        beside(update, "hey", 1.2),
        beside(update, "csv + httpx loop", 100),
        beside(update, "wrk", 0.25),
        Figure(f"{update}, while sending", "rows/s", [speed.sending for speed in found[update]]),
        Figure(f"{update}, CPU", "µs a row", [speed.cpu for speed in found[update]], most=22, about="user and system"),
        Figure(event, "rows/s", rates[event], command),
        beside(event, update, 0.75),
        Figure(f"{event}, CPU", "µs a row", [speed.cpu for speed in found[event]]),
        Figure(over_tls, "rows/s", rates[over_tls], command),
        beside(over_tls, "hey over TLS", 0.8),
    ]


def _figures_of_peers(found: Mapping[str, Sequence[Speed]], peers: Mapping[str, Peer], folder: Path) -> list[Figure]:
    figures = []
    for name, peer in peers.items():
        rates = [speed.rate for speed in found.get(name, [])]
        cpu = [speed.cpu for speed in found.get(name, [])]
        about = "" if rates else "not installed: skipped"
        figures += [
            Figure(name, "requests/s", rates, [shown(peer.command, folder)], about=about),
            Figure(f"{name}, CPU", "µs a request", cpu, about=about),
        ]
    return figures
