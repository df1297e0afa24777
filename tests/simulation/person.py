"""A person who asks the platform about rows without a known end, and says what it says; events that it takes back."""

from __future__ import annotations

from contextlib import closing
from random import Random

from batchpost.ledger import Ledger
from batchpost.resolutions import Action, Doubt, Resolutions
from tests.simulation.cases import Night
from tests.simulation.machine import LEDGER, Machine

__all__ = ["Person"]


class Person:
    """Looks at runs between two sittings, and never says what is not true."""

    def __init__(self, machine: Machine, random: Random) -> None:
        self._machine, self._random = machine, random

    def look_at(self, night: Night, run_id: str) -> int:
        """Decide some of a finished run's rows; returns how many."""
        with closing(Ledger.open(self._machine.root / LEDGER, must_exist=True)) as ledger:
            resolutions = Resolutions(ledger, self._machine.disk.wall)
            decided = [self._decide(resolutions, night, doubt) for doubt in self._own(resolutions, run_id)]
            if night.case.is_event:
                decided += [
                    self._void(resolutions, night, doubt) for doubt in self._delivered(resolutions, night, run_id)
                ]
        return len(decided)

    def _own(self, resolutions: Resolutions, run_id: str) -> list[Doubt]:
        """The open doubts that the run raised itself, without those that are left for another day."""
        doubts = [
            doubt for _, doubt in resolutions.doubts_of(run_id) if (doubt.run_id, doubt.state) == (run_id, "open")
        ]
        return [doubt for doubt in doubts if self._random.random() < 0.8]

    def _decide(self, resolutions: Resolutions, night: Night, doubt: Doubt) -> None:
        operation = night.case.operation(night.rows[doubt.row][0])
        is_event = night.case.is_event
        arrived = self._machine.platform.stands(operation) if is_event else self._arrived(night, doubt.row)
        due: list[Action] = ["not_delivered", "resend", "ignored"]
        resolutions.decide([doubt], "delivered" if arrived else self._random.choice(due), "asked", is_event=is_event)

    def _arrived(self, night: Night, row: int) -> bool:
        """Whether this row's own update had its effect."""
        nights = self._machine.night_of
        place = (night.case.name, night.number, row)
        return any((*nights[one.sitting], one.row) == place for one in self._machine.platform.arrivals)

    def _delivered(self, resolutions: Resolutions, night: Night, run_id: str) -> list[Doubt]:
        """An event of the run that the platform takes back, now and then."""
        if self._random.random() < 0.7:
            return []
        delivered = [doubt for _, doubt in resolutions.delivered_of(run_id, range(len(night.rows)))]
        return self._random.sample(delivered, min(1, len(delivered)))

    def _void(self, resolutions: Resolutions, night: Night, doubt: Doubt) -> None:
        self._machine.platform.voids[night.case.operation(night.rows[doubt.row][0])] += 1
        resolutions.decide([doubt], "voided", "taken back")
