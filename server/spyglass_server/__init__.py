"""The Spyglass server: models on ONNX Runtime behind gRPC, and the same models in this process.

    from spyglass_server import local_client

    with local_client() as client:
        print(client.classify("cat.jpg").best.name)

Requests go through `servicers` (gRPC shells) or `local` to `handlers`, which use the rooms `engine`,
`heatmaps` and `masks`; `interceptors` surround the gRPC calls. docs/architecture.md shows it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spyglass_server.local import LocalTransport, local_client, local_transport

__all__ = ["LocalTransport", "local_client", "local_transport"]


def __getattr__(name: str) -> Any:
    # Only these three need the client library; a server process never imports it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from spyglass_server import local

    return getattr(local, name)
