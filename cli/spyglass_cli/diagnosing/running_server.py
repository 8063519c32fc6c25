"""A running server: reachable with these credentials, and with models."""

from __future__ import annotations

import time
from collections.abc import Iterator

from spyglass_cli.diagnosing.finding import Finding, Subject, fail, ok
from spyglass_client import Client, Timeout
from spyglass_contract.errors import SpyglassError


def check_running_server(subject: Subject) -> Iterator[Finding]:
    """List the models of the server that `--server` names, if it names one."""
    if not subject.target:
        return
    try:
        with Client(
            subject.target, timeout=Timeout(call=subject.seconds), credentials=subject.credentials
        ) as client:
            client.models()
            # The first call opens the connection.
            started = time.perf_counter()
            count = len(client.models())
            milliseconds = (time.perf_counter() - started) * 1000
    except SpyglassError as error:
        yield fail(f"{subject.target} does not list its models: {error.message} ({error.reason})")
        return
    yield ok(f"{subject.target} serves {count} models, and lists them in {milliseconds:.1f} ms")
