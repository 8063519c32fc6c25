"""What the ports of a server share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from spyglass_server.engine.engine import Engine
from spyglass_server.handlers import Handlers
from spyglass_server.limits import WireLimits
from spyglass_server.observing.observing import Observing
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.readiness import Readiness
from spyglass_server.settings import ServerSettings


@dataclass(frozen=True)
class Parts:
    """The parts that requests of every protocol go through."""

    settings: ServerSettings
    engine: Engine
    handlers: Handlers
    readiness: Readiness
    entrance: Entrance
    observing: Observing
    limits: WireLimits
    # What may take long, or wait, runs on these.
    threads: ThreadPoolExecutor
    # Other processes listen on the ports, too.
    shares_ports: bool = False
