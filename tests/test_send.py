"""The order in which a sitting reaches the disk, as a disk sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import orjson
import pytest

from batchpost.errors import BatchpostError, UsageError
from batchpost.model import Stop
from batchpost.prepare import Prepared
from batchpost.sandbox import Sandbox
from batchpost.send import Sitting, limits_of, send
from tests.jobtexts import job_text, load
from tests.wire import authority
from tests.workspaces import Onlooker, Workspace, sale_rows, write_csv


class Enough(BatchpostError):
    """Ends a run before it begins."""


class Disk:
    """A log file that remembers its records by kind, and when it was synced and closed."""

    def __init__(self, refuses: Callable[[str], bool] = lambda kind: False) -> None:
        self.done: list[str] = []
        self._refuses = refuses

    def append(self, data: bytes) -> None:
        for record in (orjson.loads(line[9:]) for line in data.splitlines()):
            if self._refuses(record[0]):
                raise OSError(28, "No space left on device")
            self.done += [record[0]] * (len(record[2]) if record[0] == "end" else 1)  # an end of several rows

    def sync(self) -> None:
        self.done.append("sync")

    def close(self) -> None:
        self.done.append("close")


@pytest.fixture
def workspace(tmp_path: Path, server: Sandbox) -> Workspace:
    """With three sales to send."""
    made = Workspace(tmp_path, server.base_url)
    made.sales()
    write_csv(made.folder / "in.csv", sale_rows(3))
    return made


async def nobody(tally: object, pulse: object) -> None:
    """Nobody looks on."""


async def without_room(tally: object, pulse: object) -> None:
    """The summary does not fit on its disk."""
    await anyio.sleep(0.01)
    raise OSError(28, "No space left on device", "summary.json")


def sent(
    workspace: Workspace,
    disk: Disk,
    watch: Callable[[object, object], Awaitable[None]] = nobody,
    before: Callable[[], object] = lambda: None,
) -> Stop | None:
    """How a sitting ends whose journal is on that disk; ``before`` it, something may happen."""
    ends: list[Stop | None] = []

    def on_plan(prepared: Prepared) -> None:
        before()
        ends.append(send(prepared, disk, "the disk", Sitting({}, watch))[0])
        raise Enough

    with pytest.raises(Enough):
        workspace.run(Onlooker(on_plan=on_plan))
    return ends[0]


def test_the_last_word_is_written_when_all_before_it_is_on_disk(workspace: Workspace) -> None:
    """Or a power cut could keep the sitting's end and lose a row's."""
    disk = Disk()
    assert sent(workspace, disk) is None
    assert disk.done[0] == "sitting"
    assert disk.done[-4:] == ["sync", "over", "sync", "close"]
    assert disk.done.count("end") == 3


def test_a_disk_that_is_full_ends_the_sitting_without_a_last_word(workspace: Workspace) -> None:
    disk = Disk(lambda kind: kind == "end")
    stop = sent(workspace, disk)
    assert stop is not None
    assert (stop.cause, stop.exit_code) == ("disk", 4)
    assert "over" not in disk.done
    assert disk.done[-1] == "close"


def test_a_way_that_cannot_be_taken_leaves_no_open_journal(workspace: Workspace, server: Sandbox) -> None:
    workspace.sales(api='base_url = "https://127.0.0.1:9"\nca_file = "ca.pem"')
    authority().cert_pem.write_to_path(str(workspace.folder / "ca.pem"))
    disk = Disk()
    with pytest.raises(UsageError, match=r"ca_file .*ca\.pem: no such file"):
        sent(workspace, disk, before=(workspace.folder / "ca.pem").unlink)
    assert disk.done == ["sitting", "sync", "close"]
    assert server.received == []


def test_where_the_summary_finds_no_room_nothing_is_sent(workspace: Workspace, server: Sandbox) -> None:
    disk = Disk()
    stop = sent(workspace, disk, without_room)
    assert stop is not None
    assert (stop.cause, stop.exit_code, stop.message) == (
        *("disk", 4),
        "summary.json cannot be written: No space left on device. Make room on its disk",
    )
    assert "start" not in disk.done
    assert server.received == []


@pytest.mark.parametrize("rate", [10, 1_000, 1_000_000])
@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        (job_text("global-event"), False),
        (job_text("global-event", api="server_dedupe = true"), False),
        (job_text("update-lead"), True),
        (job_text("update-lead", api="redistributes = true"), False),
    ],
    ids=["events", "events refused twice", "updates", "updates that redistribute"],
)
def test_only_updates_that_may_be_repeated_are_claimed_further_ahead(
    tmp_path: Path, text: str, repeats: bool, rate: int
) -> None:
    """What is claimed and not started is in doubt after a power cut: twice ``concurrency``, and 50 ms."""
    job = load(tmp_path, text.replace("[api]", f"[delivery]\nrate = {rate}\nconcurrency = 32\n\n[api]"))
    more = {10: 0, 1_000: 50, 1_000_000: 14 * 32}[rate] if repeats else 0
    assert limits_of(job, Sitting({}, nobody)).ahead == 2 * 32 + more
