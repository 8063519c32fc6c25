"""Health checks beside a load, as an orchestrator sends them."""

from __future__ import annotations

import time
from array import array
from collections import Counter

import numpy as np
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from measuring.calls import Calls
from measuring.targets import CallFailed, GrpcTarget
from measuring.window import Window, wait_until

_CHECK = "/grpc.health.v1.Health/Check"
_EVERY_SECONDS = 0.05


def check_health(address: str, window: Window) -> Calls:
    """Check 20 times a second, one after the other, on a connection of its own; return the checks' times."""
    latencies, failures = array("d"), Counter[str]()
    target = GrpcTarget(address, _CHECK, HealthCheckRequest().SerializeToString())
    with target.connect(1) as (check,):
        wait_until(window.begin)
        while (started := time.monotonic()) < window.end:
            try:
                status = HealthCheckResponse.FromString(check()).status
            except CallFailed as error:
                failures[str(error)] += 1
            else:
                latencies.append(time.monotonic() - started)
                if status != HealthCheckResponse.SERVING:
                    failures[HealthCheckResponse.ServingStatus.Name(status)] += 1
            wait_until(started + _EVERY_SECONDS)
    return Calls(np.array(latencies), failures, 0.0)
