"""The checks in their order: what others depend on comes first."""

from __future__ import annotations

from collections.abc import Iterator

from spyglass_cli.diagnosing.cache_folder import check_cache_folder
from spyglass_cli.diagnosing.capacity import check_capacity
from spyglass_cli.diagnosing.clock import check_clock
from spyglass_cli.diagnosing.device import check_device
from spyglass_cli.diagnosing.file_limits import check_file_limits
from spyglass_cli.diagnosing.finding import Check, Finding, Subject, fail
from spyglass_cli.diagnosing.model_folder import check_models
from spyglass_cli.diagnosing.packages import check_packages
from spyglass_cli.diagnosing.ports import check_ports
from spyglass_cli.diagnosing.running_server import check_running_server
from spyglass_cli.diagnosing.tls import check_tls
from spyglass_contract.errors import SpyglassError

CHECKS: dict[str, Check] = {
    "packages": check_packages,
    "device": check_device,
    "capacity": check_capacity,
    "tls": check_tls,
    "port": check_ports,
    "file limits": check_file_limits,
    "clock": check_clock,
    "cache": check_cache_folder,
    "models": check_models,
    "server": check_running_server,
}


def diagnose(subject: Subject) -> Iterator[tuple[str, Finding]]:
    """Yield (name of the check, finding). A check that itself fails is a finding."""
    for name, check in CHECKS.items():
        try:
            for finding in check(subject):
                yield name, finding
        except (SpyglassError, OSError) as error:
            yield name, fail(str(error))
