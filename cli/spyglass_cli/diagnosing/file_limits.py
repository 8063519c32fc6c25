"""The limit of open files, against the connections that the settings allow."""

from __future__ import annotations

import resource
from collections.abc import Iterator

from spyglass_cli.diagnosing.finding import Finding, Subject, fail, ok, warn

# Files, sockets and pipes of a server beside its connections.
_OWN_FILES = 128


def check_file_limits(subject: Subject) -> Iterator[Finding]:
    """Find a limit that ends before the connections do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = subject.settings.max_connections + _OWN_FILES
    raised = f"raise it (ulimit -n {needed}, or LimitNOFILE of systemd), or lower --max-connections"
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield ok(f"{'any number of' if soft == resource.RLIM_INFINITY else soft} files may be open")
    elif soft < _OWN_FILES:
        yield fail(f"only {soft} files may be open, and a server alone needs {_OWN_FILES}", raised)
    else:
        yield warn(f"{soft} files may be open (at most {hard}), and the settings need {needed}", raised)
