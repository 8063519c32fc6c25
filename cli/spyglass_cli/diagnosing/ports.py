"""The ports of the settings: free, and allowed for this user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from spyglass_cli.diagnosing.finding import Finding, Subject, fail, ok


def check_ports(subject: Subject) -> Iterator[Finding]:
    """Bind each port for a moment, but not that of the running server."""
    from spyglass_server.listening import bind_problem

    settings = subject.settings
    host = settings.effective_host
    if host.startswith("unix:"):
        yield _socket(Path(host.removeprefix("unix:")))
    elif not host.startswith("unix-abstract:"):
        if subject.target.endswith(f":{settings.port}"):
            yield ok(f"port {settings.port} belongs to the running server")
        else:
            yield _port("port", settings.port, bind_problem(host, settings.port))
    if settings.metrics_port is not None:
        yield _port(
            "metrics_port", settings.metrics_port, bind_problem(settings.metrics_host, settings.metrics_port)
        )


def _port(name: str, port: int, problem: str) -> Finding:
    if problem:
        return fail(
            f"{name} {port} cannot be used: {problem}",
            f"stop that process, or set --{name.replace('_', '-')}",
        )
    return ok(f"{name} {port} is free")


def _socket(path: Path) -> Finding:
    folder = path.absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail(f"no socket can be made in {folder}", "make the folder, or let this user write to it")
    return ok(f"a socket can be made in {folder}")
