"""The sandbox over raw sockets: replies whole and broken, the record, and the settings at run time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import polars as pl
import pytest
from anyio.from_thread import start_blocking_portal

from batchpost.errors import UsageError
from batchpost.sandbox import Faults, Received, Sandbox, SandboxConfig, parse_faults, serve

pytestmark = pytest.mark.anyio

UPDATE, GLOBAL, TRIGGER = "/api/lead/update/cmp_sandbox", "/api/event/global/org_sandbox", "/api/event/trigger"
ANY = SandboxConfig(accept_any=True)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """A reset and a cut reply must be real ones on both loops."""
    return "asyncio", {"use_uvloop": request.param}


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Client:
    """One connection, with nothing between the test and the bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, method: str, path: str, body: bytes = b"", *headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: sandbox", f"Content-Length: {len(body)}", *headers, "", ""]
        self.writer.write("\r\n".join(lines).encode() + body)

    async def receive(self) -> Got:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Got(int(first.split()[1]), headers, body)

    async def ask(self, method: str, path: str, body: object = b"", *headers: str) -> Got:
        self.send(method, path, body if isinstance(body, bytes) else orjson.dumps(body), *headers)
        return await self.receive()

    async def update(self, **fields: object) -> Got:
        return await self.ask("POST", UPDATE, fields, "Authorization: Bearer sandbox-token")

    async def sale(self, transaction_id: str, revenue: float = 85.0) -> Got:
        fields = {"transaction_id": transaction_id, "event_id": "sale_completed", "revenue": revenue}
        return await self.ask("POST", GLOBAL, fields)


@contextlib.asynccontextmanager
async def connected(sandbox: Sandbox) -> AsyncIterator[Client]:
    host, _, port = sandbox.base_url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def running(config: SandboxConfig = ANY) -> AsyncIterator[tuple[Sandbox, Client]]:
    async with Sandbox(config) as sandbox, connected(sandbox) as client:
        yield sandbox, client


def with_faults(text: str) -> SandboxConfig:
    return replace(ANY, faults=parse_faults(text))


# --- whole replies ------------------------------------------------------------------------------------------------


async def test_one_connection_serves_all_routes() -> None:
    async with running() as (_, client):
        updated = await client.update(transaction_id="txn_1", city="Bonn")
        assert (updated.status, updated.json["status"]) == (201, "201")
        sold = await client.sale("txn_1")
        assert (sold.status, sold.json["status"], sold.json["data"]["conversion"]) == (200, 200, True)
        body = {"cid": "cmp_sandbox", "transaction_id": "txn_1", "event_id": "application_submitted"}
        tracked = await client.ask("POST", TRIGGER, body)
        assert (tracked.status, tracked.json["data"]["conversion_id"]) == (200, "")
        assert updated.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", [UPDATE, GLOBAL, TRIGGER])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_method_gets_405_and_is_told_the_right_one(method: str, path: str) -> None:
    async with running() as (_, client):
        got = await client.ask(method, path)
        assert (got.status, got.headers["allow"], got.json["message"]) == (405, "POST", "Method Not Allowed")


async def test_other_paths_are_not_found_and_not_recorded() -> None:
    async with running() as (sandbox, client):
        for path in ("/", "/api/lead/update", "/_sandbox/other"):
            assert (await client.ask("GET", path)).status == 404
        assert sandbox.received == []


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with running(replace(ANY, latency=(0.0, 0.01))) as (_, client):
        for n in range(20):
            client.send("POST", GLOBAL, orjson.dumps({"transaction_id": f"txn_{n}", "event_id": "call_connected"}))
        answered = [(await client.receive()).json["data"]["transaction_id"] for _ in range(20)]
        assert answered == [f"txn_{n}" for n in range(20)]


async def test_a_connection_ends_when_the_client_asks_for_it() -> None:
    async with running() as (_, client):
        got = await client.ask("GET", "/", b"", "Connection: close")
        assert got.headers["connection"] == "close"
        assert await client.reader.read() == b""


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with running() as (_, client):
        client.writer.write(f"POST {UPDATE} HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n".encode())
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.writer.write(b"{}")
        assert (await client.receive()).status == 401


async def test_what_is_not_http_gets_400_and_the_end() -> None:
    async with running() as (sandbox, client):
        client.writer.write(b"not http at all\r\n\r\n")
        assert (await client.reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert sandbox.received == []


# --- faults -------------------------------------------------------------------------------------------------------


async def test_drop_closes_without_a_reply_and_does_nothing() -> None:
    async with running(with_faults("drop=1")) as (sandbox, client):
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await client.sale("txn_1")
        assert caught.value.partial == b""
        [entry] = sandbox.received
        assert (entry.fault, entry.status, entry.effect, sandbox.effects) == ("drop", None, None, [])


async def test_reset_resets_the_connection_with_the_event_fired() -> None:
    async with running(with_faults("reset=1")) as (sandbox, client):
        with pytest.raises(ConnectionResetError):
            await client.sale("txn_1")
        [entry] = sandbox.effects
        assert (entry.fault, entry.status, entry.effect) == ("reset", 200, "fired")


async def test_half_cuts_the_body_with_the_event_fired() -> None:
    async with running(with_faults("half=1")) as (sandbox, client):
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await client.sale("txn_1")
        assert caught.value.expected is not None
        assert len(caught.value.partial) == caught.value.expected // 2
        assert caught.value.partial.startswith(b'{"status":200')
        assert [(entry.fault, entry.status) for entry in sandbox.effects] == [("half", 200)]


@pytest.mark.parametrize(
    ("faults", "status", "message", "retry_after"),
    [
        ("error=1", 500, "Internal server error", None),
        ("lock=1", 403, "Forbidden: concurrent event lock in progress", None),
        ("unavailable=1", 503, "Service Unavailable", "1"),
        ("unauthorized_after=0", 401, "Unauthorized", None),
    ],
)
async def test_refusals_keep_the_shape_of_their_route(
    faults: str, status: int, message: str, retry_after: str | None
) -> None:
    async with running(with_faults(faults)) as (sandbox, client):
        got = await client.update(transaction_id="txn_1")
        assert got.json == {"status": str(status), "message": message, "data": {"leadStatus": "rejected"}}
        assert (got.status, got.headers.get("retry-after")) == (status, retry_after)
        sold = await client.sale("txn_1")
        if faults == "unauthorized_after=0":
            assert sold.status == 200  # events have no token
        else:
            assert sold.json == {"status": status, "message": message}
        assert sandbox.received[0].status == status


async def test_an_error_fires_the_event_half_of_the_time() -> None:
    async with running(with_faults("error=1")) as (sandbox, client):
        statuses = {(await client.sale(f"txn_{n}")).status for n in range(60)}
        assert statuses == {500}
        assert 15 < len(sandbox.effects) < 45


async def test_garbage_is_a_web_page_with_200() -> None:
    async with running(with_faults("garbage=1")) as (_, client):
        got = await client.sale("txn_1")
        assert (got.status, got.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert got.body.startswith(b"<!doctype html>")


async def test_beyond_the_limit_it_is_429_and_nothing_is_done() -> None:
    async with running(with_faults("limit=2")) as (sandbox, client):
        got = [await client.sale(f"txn_{n}") for n in range(3)]
        assert [each.status for each in got] == [200, 200, 429]
        assert got[2].headers["retry-after"] == "1"
        assert got[2].json == {"status": 429, "message": "Too Many Requests"}
        assert len(sandbox.effects) == 2


async def test_after_a_lost_reply_the_same_event_is_a_duplicate() -> None:
    async with running(with_faults("reset=1")) as (sandbox, client):
        with pytest.raises(ConnectionResetError):
            await client.sale("txn_1")
        sandbox.configure(faults=Faults())
        async with connected(sandbox) as second:
            assert (await second.sale("txn_1")).json["message"] == "Duplicate event for this transaction_id"
        assert len(sandbox.effects) == 1


async def test_the_same_seed_and_requests_give_the_same_record() -> None:
    async def record(seed: int) -> list[tuple[object, ...]]:
        faults = parse_faults("error=0.2,lock=0.2,garbage=0.2")
        async with running(replace(ANY, faults=faults, seed=seed)) as (sandbox, client):
            for n in range(40):
                await client.sale(f"txn_{n}")
            return [(entry.status, entry.fault, entry.effect, entry.conversion_id) for entry in sandbox.received]

    assert await record(1) == await record(1)
    assert await record(1) != await record(2)


# --- time ---------------------------------------------------------------------------------------------------------


async def test_a_pair_is_locked_as_long_as_its_request_takes() -> None:
    async with running(replace(ANY, latency=0.2)) as (sandbox, client), connected(sandbox) as second:
        got = await asyncio.gather(client.sale("txn_1"), second.sale("txn_1"))
        assert sorted(each.status for each in got) == [200, 403]
        assert len(sandbox.effects) == 1


async def test_what_was_begun_is_done_though_the_client_has_gone() -> None:
    async with running(replace(ANY, latency=0.3)) as (sandbox, watcher):
        async with connected(sandbox) as client:
            client.send("POST", GLOBAL, b'{"transaction_id": "txn_1", "event_id": "application_submitted"}')
            while not (await watcher.ask("GET", "/_sandbox/received")).body:
                pass
        assert sandbox.effects == []
        async with asyncio.timeout(5):
            while not (await watcher.ask("GET", "/_sandbox/effects")).body:
                pass
        assert (sandbox.received[0].status, sandbox.received[0].effect) == (200, "fired")


# --- the record ---------------------------------------------------------------------------------------------------


async def test_the_record_has_each_request_in_order_of_arrival() -> None:
    async with running() as (_, client):
        await client.update(transaction_id="txn_1", city="Bonn")
        await client.ask("POST", UPDATE, b"{broken")
        await client.sale("txn_1")
        got = await client.ask("GET", "/_sandbox/received")
        first, broken, sold = (orjson.loads(line) for line in got.body.splitlines())
    assert got.headers["content-type"] == "application/x-ndjson"
    assert first["at"] <= broken["at"] <= sold.pop("at")
    assert sold.pop("conversion_id").startswith("conv_")
    assert sold == {
        "n": 3,
        "method": "POST",
        "path": GLOBAL,
        "route": "global-event",
        "campaign_id": "cmp_sandbox",
        "transaction_id": "txn_1",
        "event_id": "sale_completed",
        "body": {"transaction_id": "txn_1", "event_id": "sale_completed", "revenue": 85.0},
        "authorized": True,
        "bearer": False,
        "status": 200,
        "fault": None,
        "effect": "fired",
    }
    assert (first["bearer"], first["authorized"], first["effect"], first["campaign_id"]) == (
        True,
        True,
        "updated",
        "cmp_sandbox",
    )
    assert (broken["body"], broken["authorized"], broken["status"], broken["transaction_id"]) == (
        "{broken",
        False,
        401,
        "",
    )


async def test_effects_are_only_what_was_done_and_reset_forgets_the_record_alone() -> None:
    async with running() as (_, client):
        for _ in range(2):
            await client.sale("txn_1")
        effects = (await client.ask("GET", "/_sandbox/effects")).body.splitlines()
        assert [orjson.loads(line)["n"] for line in effects] == [1]
        assert (await client.ask("POST", "/_sandbox/reset")).status == 200
        assert (await client.ask("GET", "/_sandbox/received")).body == b""
        assert (await client.sale("txn_1")).json["message"] == "Duplicate event for this transaction_id"


async def test_the_history_of_a_lead_is_in_the_order_in_which_it_was_done() -> None:
    async with running() as (sandbox, client):
        for city in ("Bonn", "Köln", "Ulm"):
            await client.update(transaction_id="txn_1", city=city)
        await client.update(transaction_id="txn_2", city="Kiel")
        histories = sandbox.histories()
        assert [entry.body["city"] for entry in histories["txn_1"]] == ["Bonn", "Köln", "Ulm"]
        assert set(histories) == {"txn_1", "txn_2"}


# --- settings -----------------------------------------------------------------------------------------------------


async def test_settings_change_at_run_time() -> None:
    async with running() as (sandbox, client):
        assert (await client.update(transaction_id="txn_1")).status == 201
        settings = {"token": "new", "inactive_pids": ["src_off"], "faults": "unavailable=1", "latency": "1ms-2ms"}
        assert (await client.ask("POST", "/_sandbox/config", settings)).status == 200
        assert (await client.update(transaction_id="txn_1")).status == 503
        assert (await client.ask("POST", "/_sandbox/config", {"faults": ""})).status == 200
        assert (await client.update(transaction_id="txn_1")).status == 401
        body = {"transaction_id": "txn_1", "event_id": "application_submitted", "pid": "src_off"}
        refused = await client.ask("POST", GLOBAL, body)
        assert (refused.status, refused.json["message"]) == (403, "Forbidden: source inactive")
        assert (sandbox.config.latency, sandbox.config.faults) == ((0.001, 0.002), Faults())


@pytest.mark.parametrize(
    "settings", [b"{", [], {"port": 1}, {"token": 5}, {"faults": "drip=1"}, {"latency": "soon"}, {"inactive_pids": "x"}]
)
async def test_a_wrong_setting_is_refused_and_changes_nothing(settings: object) -> None:
    async with running() as (sandbox, client):
        assert (await client.ask("POST", "/_sandbox/config", settings)).status == 400
        assert (await client.update(transaction_id="txn_1")).status == 201
        assert sandbox.config == ANY


# --- leads, start and end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("names", [("transaction_id", "campaign_id", "pid"), ("Lead ID", "CID", "Source ID")])
async def test_leads_come_from_a_file(tmp_path: Path, suffix: str, names: tuple[str, str, str]) -> None:
    rows = {names[0]: ["txn_1", "txn_2", None], names[1]: ["cmp_a", None, "cmp_b"], names[2]: ["src_1", None, None]}
    frame, path = pl.DataFrame(rows), tmp_path / f"leads{suffix}"
    frame.write_csv(path) if suffix == ".csv" else frame.write_parquet(path)
    async with running(SandboxConfig(leads=path)) as (_, client):
        first, second = (await client.sale("txn_1")).json["data"], (await client.sale("txn_2")).json["data"]
        assert (first["cid"], first["pid"]) == ("cmp_a", "src_1")
        assert (second["cid"], second["pid"]) == ("cmp_sandbox", "organic")
        assert (await client.sale("txn_3")).status == 400


@pytest.mark.parametrize(("content", "message"), [("a,b\n1,2\n", "no column transaction_id"), (None, "cannot read")])
def test_leads_that_cannot_be_read_are_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "leads.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=message):
        Sandbox(SandboxConfig(leads=path))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com", ""])
def test_only_loopback_addresses_are_bound(host: str) -> None:
    with pytest.raises(UsageError, match="loopback"):
        Sandbox(SandboxConfig(host=host))


async def test_a_port_in_use_is_an_error_that_names_it() -> None:
    async with Sandbox(ANY) as first:
        port = int(first.base_url.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            await serve(SandboxConfig(port=port))


async def test_serve_tells_its_address_and_runs_until_cancelled() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(ANY, ready=ready.set_result))
    assert (await ready).startswith("http://127.0.0.1:")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_test_that_is_not_async_can_use_it() -> None:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Sandbox(ANY)) as sandbox:
        assert sandbox.base_url.startswith("http://127.0.0.1:")


async def test_many_connections_at_once_leave_one_record_each() -> None:
    async with Sandbox(ANY) as sandbox:

        async def lane(number: int) -> None:
            async with connected(sandbox) as client:
                for n in range(20):
                    assert (await client.sale(f"txn_{number}_{n}")).status == 200

        await asyncio.gather(*(lane(number) for number in range(16)))
        assert Counter(map(_shape, sandbox.received)) == Counter({(200, "fired"): 320})
        assert [entry.n for entry in sandbox.received] == list(range(1, 321))


def _shape(entry: Received) -> tuple[int | None, str | None]:
    return entry.status, entry.effect
