"""What many tests run against: the sandbox on a loopback port, and a workspace whose jobs post to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchpost.readerprocess import close_spare
from batchpost.sandbox import Sandbox
from tests.workspaces import Workspace, sandbox


@pytest.fixture(scope="session", autouse=True)
def _no_reader_left() -> Iterator[None]:
    """Test workers end without the interpreter's own clearing up."""
    yield
    close_spare()


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with sandbox() as (running, _):
        yield running


@pytest.fixture
def workspace(tmp_path: Path, server: Sandbox) -> Workspace:
    return Workspace(tmp_path, server.base_url)
