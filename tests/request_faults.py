"""The statuses of a request that is right, or at fault itself; any other one is a fault of the server."""

REQUEST_FAULTS = frozenset(
    {
        "OK",
        "INVALID_ARGUMENT",
        "OUT_OF_RANGE",
        "NOT_FOUND",
        "FAILED_PRECONDITION",
        "RESOURCE_EXHAUSTED",
    }
)
