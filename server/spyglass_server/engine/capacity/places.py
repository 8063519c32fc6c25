"""A bounded number of places for calls; the call that has waited longest loses its place to a new one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from spyglass_contract.errors import SpyglassError


@dataclass(eq=False)
class Place:
    """The place of one call. `since` is the monotonic time when its wait began; None: it does not wait."""

    caller: str
    give_up: Callable[[SpyglassError], object]
    since: float | None

    def waits(self) -> None:
        """Record that the call waits from now on."""
        self.since = time.monotonic()

    def works(self) -> None:
        """Record that the call does not wait."""
        self.since = None


@dataclass(frozen=True)
class Rules:
    """The number of places, and the time that a call may wait in one. Times are in seconds.

    `what` names the calls in messages. `full` makes the error of a call that finds or keeps no place.
    `late` makes the error of a call that has waited for too long.
    """

    what: str
    full: Callable[[str], SpyglassError]
    late: Callable[[], SpyglassError]
    capacity: int
    per_caller: int
    seconds: float
    # A call that has waited for less time than this keeps its place.
    protected_seconds: float


class Places:
    """Places for `capacity` calls, at most `per_caller` of them for one caller; safe to use from any thread.

    If all places are taken, the call that has waited longest loses its place to the new one.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        # In the order of arrival.
        self._places: dict[Place, None] = {}
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def __len__(self) -> int:
        """Return the number of places that are taken."""
        return len(self._places)

    def enter(
        self, caller: str, give_up: Callable[[SpyglassError], object], per_caller: int | None = None
    ) -> Place:
        """Take a place. `give_up` is called, in any thread, if the call loses its place; it must not block.

        `per_caller` replaces the limit of `Rules` for this caller. Raises the error of
        `Rules.full` if all places are taken and every call in them keeps its place.
        """
        now = time.monotonic()
        place, victim = Place(caller, give_up, now), None
        with self._lock:
            limit = self.rules.per_caller if per_caller is None else per_caller
            full = self._full(caller, limit)
            if full:
                victim = self._victim(now, caller if full == "caller" else None)
                if victim is None:
                    raise self._refusal(full, limit)
                self._remove(victim)
            self._places[place] = None
            self._counts[caller] += 1
        if victim:
            idle = now - (victim.since or now)
            victim.give_up(
                self.rules.full(f"another call needs the place of this call, which was idle for {idle:.0f} s")
            )
        return place

    def leave(self, place: Place) -> None:
        """Give a place back; does nothing if the call has already lost it."""
        with self._lock:
            if place in self._places:
                self._remove(place)

    def dismiss(self, error: SpyglassError) -> None:
        """End all calls with this error."""
        with self._lock:
            places = list(self._places)
            for place in places:
                self._remove(place)
        for place in places:
            place.give_up(error)

    def sweep(self) -> None:
        """End the calls that have waited for too long."""
        now = time.monotonic()
        with self._lock:
            late = [
                place
                for place in self._places
                if place.since is not None and now - place.since >= self.rules.seconds
            ]
            for place in late:
                self._remove(place)
        for place in late:
            place.give_up(self.rules.late())

    def _full(self, caller: str, limit: int) -> str:
        if len(self._places) >= self.rules.capacity:
            return "server"
        return "caller" if self._counts[caller] >= limit else ""

    def _victim(self, now: float, caller: str | None) -> Place | None:
        """Return the call that has waited longest, of `caller` or of the caller with the most places."""
        if caller is None:
            ((caller, _),) = self._counts.most_common(1)
        waiting = [
            (place.since, index, place)
            for index, place in enumerate(self._places)
            if place.caller == caller
            and place.since is not None
            and now - place.since >= self.rules.protected_seconds
        ]
        return min(waiting)[2] if waiting else None

    def _refusal(self, full: str, limit: int) -> SpyglassError:
        rules = self.rules
        message = (
            f"this caller already has {limit} {rules.what}, which is the limit"
            if full == "caller"
            else f"the server already has {rules.capacity} {rules.what}, which is the limit"
        )
        return rules.full(message)

    def _remove(self, place: Place) -> None:
        del self._places[place]
        self._counts[place.caller] -= 1
        if not self._counts[place.caller]:
            del self._counts[place.caller]
