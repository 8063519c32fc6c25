"""The processor time and memory of a server on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

from spyglass_client import parse_addresses


@dataclass(frozen=True)
class Usage:
    """Processor time in seconds since the start of the process, and resident memory in bytes."""

    cpu_seconds: float
    resident: int


class ServerUsage:
    """Reads what a process uses."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @classmethod
    def of_this_process(cls) -> ServerUsage:
        """Return the usage of this process, with its models."""
        return cls(psutil.Process(os.getpid()))

    @classmethod
    def of(cls, server: str) -> ServerUsage | None:
        """Return the usage of the process that listens at the address `server`.

        Return None if the server is on another machine, or its process is not visible to this user.
        """
        address = parse_addresses(server)[0]
        if not address.local or address.target.startswith(("unix", "xds")):
            return None
        port = int(address.target.rpartition(":")[2])
        try:
            connections = psutil.net_connections("tcp")
        except psutil.Error:
            return None
        for connection in connections:
            if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
                continue
            if connection.laddr.port == port:
                return cls(psutil.Process(connection.pid))
        return None

    def read(self) -> Usage | None:
        """Return the usage until now, None if the process has ended."""
        try:
            times, memory = self._process.cpu_times(), self._process.memory_info()
        except psutil.Error:
            return None
        return Usage(times.user + times.system, memory.rss)
