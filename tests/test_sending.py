from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from batchpost.errors import InputRefused, NoInput
from batchpost.sending import when_there


@dataclass
class World:
    """A clock that only sleeping moves, and an input that comes after so many seconds."""

    comes_at: float
    now: float = 100.0
    told: list[float] = field(default_factory=list)
    given: list[float] = field(default_factory=list)

    def attempt(self, wait: float) -> dict[str, Any]:
        self.given.append(wait)
        if self.now < 100.0 + self.comes_at:
            raise NoInput("there is no in.csv")
        return {"at": self.now - 100.0}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, seconds: float) -> dict[str, Any]:
        return when_there(
            self.attempt, seconds, lambda _, left: self.told.append(left), clock=lambda: self.now, sleep=self.sleep
        )


def test_an_input_that_is_there_is_not_waited_for() -> None:
    world = World(comes_at=0)
    assert world.wait(3_600) == {"at": 0.0}
    assert (world.told, world.given) == ([], [3_600])


def test_an_input_is_looked_for_every_few_seconds_and_the_lock_gets_what_is_left() -> None:
    world = World(comes_at=12)
    assert world.wait(3_600) == {"at": 15.0}
    assert world.told == [3_600, 3_595, 3_590]
    assert world.given == [3_600, 3_595, 3_590, 3_585]


@pytest.mark.parametrize("seconds", [0, 12])
def test_the_wait_has_an_end_and_looks_once_more_there(seconds: float) -> None:
    world = World(comes_at=1_000)
    with pytest.raises(NoInput):
        world.wait(seconds)
    assert world.now == 100.0 + seconds
    assert world.given[-1] == 0


def test_an_input_that_comes_at_the_last_moment_is_taken() -> None:
    assert World(comes_at=12).wait(12) == {"at": 12.0}


def test_an_unsound_input_is_not_waited_for() -> None:
    def attempt(wait: float) -> dict[str, Any]:
        raise InputRefused("in.csv", "is torn")

    with pytest.raises(InputRefused):
        when_there(attempt, 60, lambda _, left: None, sleep=lambda seconds: None)
