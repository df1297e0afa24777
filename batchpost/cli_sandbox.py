"""The command that plays the platform."""

from __future__ import annotations

from typing import Any

import click

from batchpost.failures import Terminated
from batchpost.options import FILE
from batchpost.output import Output

__all__ = ["sandbox"]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: any free port.")
@click.option("--leads", type=FILE, metavar="FILE", help="The leads that exist: a CSV or Parquet with transaction_id.")
@click.option("--accept-any", is_flag=True, help="Every lead, campaign and event exists.")
@click.option("--token", default="sandbox-token", show_default=True, help="The enrichment token that is right.")
@click.option("--org", "org_id", default="org_sandbox", show_default=True, help="The organisation's id.")
@click.option("--campaign", "campaigns", multiple=True, default=["cmp_sandbox"], show_default=True, metavar="ID",
              help="A campaign that exists (repeatable).")  # fmt: skip
@click.option(
    "--inactive-pid", "inactive_pids", multiple=True, metavar="PID", help="A source that is inactive (repeatable)."
)
@click.option(
    "--latency", default="0", show_default=True, metavar="SPAN", help="How long an answer takes: 50ms, 10ms-200ms."
)
@click.option("--fault", "faults", multiple=True, metavar="NAME=SHARE",
              help="What goes wrong how often: drop=0.01, error=0.02, limit=50, slow=0.1:2s (repeatable).")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed, the same faults.")
@click.pass_obj
def sandbox(output: Output, /, **given: Any) -> int:
    """Play the platform on this machine, with faults on demand.

    Prints the address to put into a job as base_url, and answers the three routes by the rules of the platform's pages
    until it is stopped with Ctrl-C. GET /_sandbox/received tells what arrived, GET /_sandbox/effects what was done.
    """
    import anyio

    from batchpost.sandbox import SandboxConfig, parse_faults, parse_latency, serve

    same = ("host", "port", "leads", "accept_any", "token", "org_id", "campaigns", "inactive_pids", "seed")
    config = SandboxConfig(
        latency=parse_latency(given["latency"]),
        faults=parse_faults(",".join(given["faults"])),
        **{name: given[name] for name in same},
    )
    try:
        anyio.run(lambda: serve(config, ready=output.say))
    except KeyboardInterrupt as interrupt:
        return 143 if isinstance(interrupt, Terminated) else 130
    return 0
