"""The processor time and memory of a server on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from spyglass_client import parse_addresses


@dataclass(frozen=True)
class Usage:
    """Processor time in seconds since the start of the processes, and their resident memory in bytes."""

    cpu_seconds: float
    resident: int


class ServerUsage:
    """Reads what the processes of a server use."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes

    @property
    def pids(self) -> list[int]:
        """Ids of the processes."""
        return sorted(process.pid for process in self._processes)

    @classmethod
    def of_this_process(cls) -> ServerUsage:
        """Return the usage of this process, with its models."""
        return cls([psutil.Process(os.getpid())])

    @classmethod
    def of(cls, server: str) -> ServerUsage | None:
        """Return the usage of the processes that listen at the address `server`: workers share a port.

        Return None if the server is on another machine, or its processes are not visible to this user.
        """
        address = parse_addresses(server)[0]
        if not address.local or address.target.startswith(("unix", "xds")):
            return None
        port = int(address.target.rpartition(":")[2])
        try:
            connections = psutil.net_connections("tcp")
            pids = {
                connection.pid
                for connection in connections
                if connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            }
            return cls([psutil.Process(pid) for pid in pids]) if pids else None
        except psutil.Error:
            return None

    def read(self) -> Usage | None:
        """Return the usage until now, None if a process has ended."""
        cpu_seconds, resident = 0.0, 0
        try:
            for process in self._processes:
                times = process.cpu_times()
                cpu_seconds += times.user + times.system
                resident += process.memory_info().rss
        except psutil.Error:
            return None
        return Usage(cpu_seconds, resident)
