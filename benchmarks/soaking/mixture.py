"""Threads that send the mixture until enough requests were sent."""

from __future__ import annotations

import random
import threading
from collections import Counter

from measuring.targets import own_channel
from soaking.requests import Kind
from spyglass.v1.vision_pb2_grpc import VisionStub

# Each thread opens a new connection after this many sends: connections come and go, too.
_SENDS_OF_A_CONNECTION = 500


class Mixture:
    """Sends `total` requests of `kinds` from `threads` threads; the order depends on the seed alone."""

    def __init__(self, address: str, kinds: list[Kind], total: int, threads: int) -> None:
        self._address = address
        self._kinds = kinds
        self._total = total
        self._lock = threading.Lock()
        self.sent = 0
        self.statuses: Counter[tuple[str, str]] = Counter()
        """Number of requests by kind and status."""
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(threads)]
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Send all requests. Raises what a thread raised."""
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def unexpected(self) -> dict[str, int]:
        """Return the number of requests by `KIND STATUS` whose kind does not allow the status."""
        allowed = {kind.name: kind.allowed for kind in self._kinds}
        return {
            f"{name} {status}": count
            for (name, status), count in self.statuses.items()
            if status not in allowed[name]
        }

    def _run(self, seed: int) -> None:
        try:
            chance = random.Random(seed)
            while self._more():
                with own_channel(self._address) as channel:
                    self._send_some(VisionStub(channel), chance)
        except BaseException as error:
            self.failure = error

    def _send_some(self, stub: VisionStub, chance: random.Random) -> None:
        weights = [kind.weight / kind.requests for kind in self._kinds]
        for _ in range(_SENDS_OF_A_CONNECTION):
            if not self._more():
                return
            (kind,) = chance.choices(self._kinds, weights)
            found = kind.send(stub, chance)
            with self._lock:
                self.sent += len(found)
                self.statuses.update((kind.name, status) for status in found)

    def _more(self) -> bool:
        return self.sent < self._total and self.failure is None
