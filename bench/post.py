"""Posts a file through the whole of batchpost to an nginx that answers 201 on loopback, beside the usual loop.

    python bench/post.py [--rows 200000] [--peer-rows 4000] [--in-flight 64]

The usual loop is csv + ``httpx.AsyncClient`` + a semaphore, without checks, journal or results. The first line is the
bare connection in an empty loop: how fast this machine is. Everything runs on this machine, is bounded in count, and
ends by itself. nginx must be installed (Debian: nginx-light); it is kept on one core.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPLY = '{"status":"201","message":"Lead successfully updated","data":{"leadStatus":"accepted"},"isDeDupe":false}'
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type application/json; return 201 '{reply}'; }}
    }}
}}
"""
JOB = """
name = "bench"
route = "{route}"
[api]
base_url = "http://127.0.0.1:{port}"
{api}
[source]
path = "leads.csv"
[fields]
transaction_id = {{ column = "transaction_id" }}
{fields}
[delivery]
rate = 1000000
concurrency = {in_flight}
"""
ROUTES = {
    "update-lead": (
        'campaign_id = "cmp_bench"\ntoken = "env:BENCH_TOKEN"',
        (
            'first_name = { column = "first_name" }\nemail = { column = "email" }\nzip_code = { column = "zip" }\n'
            'loan_amount = { column = "loan", as = "number" }'
        ),
    ),
    "global-event": (
        'org_id = "env:BENCH_TOKEN"',
        (
            'event_id = { value = "sale_completed" }\nrevenue = { column = "loan", as = "money" }\n'
            'email = { column = "email" }'
        ),
    ),
}
HEADER = ("transaction_id", "first_name", "email", "zip", "loan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--peer-rows", type=int, default=4_000)
    parser.add_argument("--in-flight", type=int, default=64)
    arguments = parser.parse_args()
    if shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        sys.exit("nginx is not installed (Debian: apt-get install nginx-light)")
    with tempfile.TemporaryDirectory() as name:
        bench(Path(name), arguments.rows, arguments.peer_rows, arguments.in_flight)


def bench(folder: Path, rows: int, peer_rows: int, in_flight: int) -> None:
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, reply=REPLY))
    server = subprocess.Popen(["nginx", "-c", config, "-p", folder], env={**os.environ, "PATH": "/usr/sbin:/usr/bin"})
    try:
        wait_for(port)
        if hasattr(os, "sched_setaffinity"):  # else the kernel moves it onto the client's core and back
            os.sched_setaffinity(server.pid, {max(os.sched_getaffinity(0))})
        write_leads(folder / "leads.csv", rows)
        bare_connection(port, rows // 2, in_flight)
        peer = usual_loop(folder / "leads.csv", port, peer_rows, in_flight)
        print(f"{'usual httpx loop':32}{peer:>10,.0f} rows/s  ({peer_rows:,} rows)", flush=True)
        for route in ROUTES:
            ours(folder, route, port, rows, in_flight, peer)
    finally:
        server.terminate()
        server.wait(10)


def bare_connection(port: int, count: int, in_flight: int) -> None:
    """What this machine can do at all: batchpost's own connection in an empty loop, without rows, checks or journal."""
    url = f"http://127.0.0.1:{port}/api/lead/update/cmp_bench"
    command = [sys.executable, str(Path(__file__).with_name("lane.py")), url, str(count), str(in_flight)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    print(done.stdout.splitlines()[0], flush=True)


def ours(folder: Path, route: str, port: int, rows: int, in_flight: int, peer: float) -> None:
    workspace = folder / route
    workspace.mkdir()
    (workspace / "leads.csv").symlink_to(folder / "leads.csv")
    api, fields = ROUTES[route]
    job = workspace / "job.toml"
    job.write_text(JOB.format(route=route, port=port, api=api, fields=fields, in_flight=in_flight))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "batchpost", "run", job, "--json", "--progress", "never"],
        env={**os.environ, "BENCH_TOKEN": "bench-token"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{route}: exit {done.returncode}\n{done.stderr}")
    summary = json.loads(done.stdout)
    if summary["rows"]["delivered"] != rows or summary["requests"]["sent"] != rows:
        sys.exit(f"{route}: the books are wrong: {summary['rows']}")
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / rows * 1e6
    sending = rows / summary["sending_s"]
    print(
        f"{'batchpost ' + route:32}{sending:>10,.0f} rows/s while sending, {rows / seconds:,.0f} as a whole process "
        f"(start, plan, journal, ledger, results); {cpu:.0f} us CPU a row; {sending / peer:.0f} x the usual loop",
        flush=True,
    )


def usual_loop(path: Path, port: int, rows: int, in_flight: int) -> float:
    """Rows a second of csv + httpx.AsyncClient + semaphore."""
    import httpx

    async def post_all() -> float:
        semaphore = asyncio.Semaphore(in_flight)
        limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
        async with httpx.AsyncClient(limits=limits, timeout=30) as client:

            async def post(row: dict[str, str]) -> None:
                async with semaphore:
                    reply = await client.post(f"http://127.0.0.1:{port}/api/lead/update/cmp_bench", json=row)
                    reply.raise_for_status()

            with path.open(newline="") as file:
                some = [row for row, _ in zip(csv.DictReader(file), range(rows), strict=False)]
            started = time.perf_counter()
            await asyncio.gather(*map(post, some))
            return rows / (time.perf_counter() - started)

    return asyncio.run(post_all())


def write_leads(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(
            (
                f"txn_{n:08d}-4d56-78ef-9012-abcdef123456",
                f"Name{n % 977}",
                f"lead{n}@example.com",
                f"{n % 100_000:05d}",
                n % 900 + 1,
            )
            for n in range(rows)
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("nginx did not start")


if __name__ == "__main__":
    main()
