"""The settings of one worker process: its part of what all of them may use."""

from __future__ import annotations

from spyglass_server.settings import ServerSettings


def part_of(settings: ServerSettings, port: int, http_port: int | None = None) -> ServerSettings:
    """Return the settings of each of `settings.workers` processes that share `port` and `http_port`.

    What protects processors and memory is divided and rounded up. What is counted for each connection,
    caller or stream is not: a caller with one connection reaches one process.
    """
    count = settings.workers

    def part(total: int) -> int:
        return -(-total // count)

    return settings.model_copy(
        update={
            "port": port,
            "http_port": http_port,
            "concurrency": part(settings.effective_concurrency),
            "max_in_flight": part(settings.effective_max_in_flight),
            "max_receiving": part(settings.effective_max_receiving),
            "max_bytes_in_flight": part(settings.effective_max_bytes_in_flight),
            "response_cache_bytes": part(settings.response_cache_bytes),
            "gpu_memory_limit": part(settings.gpu_memory_limit),
        }
    )
