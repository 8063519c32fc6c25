"""The limits of a model file."""

from __future__ import annotations

from dataclasses import dataclass

# A message of protobuf has at most 2 GiB; only external data can be larger.
MOST_BYTES = 2 * 1024**3
MOST_NODES = 100_000


@dataclass(frozen=True)
class FileLimits:
    """The largest model file that may be opened."""

    # Bytes of the file and its external data together.
    max_bytes: int = MOST_BYTES
    # Nodes of the graph, its subgraphs, and its functions as often as they are called; also initializers.
    max_nodes: int = MOST_NODES
    # Graphs inside each other: the branches of an `If` in the main graph have depth 2.
    max_depth: int = 32

    @property
    def max_fields(self) -> int:
        """Fields of protobuf outside of tensors' values; a node has about 15."""
        return 10_000 + 50 * self.max_nodes
