"""The pictures of a terminal: they are whole by themselves, and show what the terminal did."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.screens import drawn, is_over

PICTURES = sorted((Path(__file__).parent.parent / "docs" / "pictures").glob("*.svg"))


def test_a_screen_is_drawn_with_its_text_and_its_colours() -> None:
    svg = drawn("x", "$ batchpost plan j.toml\n\x1b[33m! invalid\x1b[0m  10\n$ \n")
    assert "batchpost&#160;plan" in svg
    assert "#e8be5c" in svg  # the theme's yellow
    assert ElementTree.fromstring(svg).tag.endswith("svg")


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_fetches_nothing_from_elsewhere(path: Path) -> None:
    svg = path.read_text()
    assert "@font-face" not in svg
    assert "href" not in svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_the_pictures_are_there() -> None:
    assert {path.stem for path in PICTURES} >= {"plan", "run-under-way", "run-finished"}


@pytest.mark.parametrize(("screen", "over"), [("$ run\nbooks\n$\n\n", True), ("$ run\n", False), ("$", False)])
def test_a_command_is_over_when_the_shell_asks_again(screen: str, over: bool) -> None:
    assert is_over(screen) == over
