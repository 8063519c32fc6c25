"""A closed loop: callers that wait for each response before they send the next request."""

from __future__ import annotations

import itertools
import threading
import time

from spyglass_cli.load.loads import ClosedLoop
from spyglass_cli.load.recording import Record
from spyglass_cli.load.work import Work
from spyglass_client import Client
from spyglass_contract.errors import SpyglassError


def run_closed_loop(client: Client, work: Work, load: ClosedLoop, begin: float, end: float) -> Record:
    """Send requests until `end`, and return those whose responses came between `begin` and `end`.

    Both are times of `time.monotonic`; what comes before `begin` warms up. Each caller is a thread.
    """
    record, lock, numbers = Record(), threading.Lock(), itertools.count()
    send = work.blocking(client)

    def call() -> None:
        while (started := time.monotonic()) < end:
            error = None
            try:
                send(next(numbers))
            except SpyglassError as raised:
                error = raised
            now = time.monotonic()
            if begin <= now <= end:
                with lock:
                    record.add(now - started, error)

    callers = [threading.Thread(target=call, daemon=True) for _ in range(load.concurrency)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return record
