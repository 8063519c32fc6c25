"""Processors and memory of this machine or control group, against the settings."""

from __future__ import annotations

import os
from collections.abc import Iterator

from spyglass_cli.diagnosing.finding import Finding, Subject, ok, warn

_MIB = 1024 * 1024
# A server with the bundled models takes about so much.
_LEAST_MEMORY = 512 * _MIB


def check_capacity(subject: Subject) -> Iterator[Finding]:
    """Find settings that need more processors or memory than there are."""
    from spyglass_server.engine.capacity.memory import usable_memory
    from spyglass_server.engine.capacity.processors import usable_cpus

    settings, processors, memory = subject.settings, usable_cpus(subject.root), usable_memory(subject.root)
    problems = []
    # Each worker process has at least one.
    runs = max(settings.effective_concurrency, settings.workers)
    threads = runs * settings.threads_per_worker
    if threads > processors:
        problems.append(
            warn(
                f"concurrency x threads_per_worker is {threads}, and {processors} processors are usable",
                "set --concurrency 0 and fewer --workers, or give the container more processors",
            )
        )
    if memory < _LEAST_MEMORY:
        problems.append(
            warn(
                f"the memory is {memory // _MIB} MiB; a server needs {_LEAST_MEMORY // _MIB} or more",
                "raise it",
            )
        )
    if settings.effective_max_bytes_in_flight > memory // 2:
        problems.append(
            warn(
                f"max_bytes_in_flight is {settings.effective_max_bytes_in_flight // _MIB} MiB of "
                f"{memory // _MIB} MiB of memory",
                "set it to 0, which is a sixteenth of the memory",
            )
        )
    machine = f" of {os.cpu_count()}" if os.cpu_count() != processors else ""
    yield from problems or [
        ok(f"{processors}{machine} processors and {memory // _MIB} MiB of memory are enough")
    ]
