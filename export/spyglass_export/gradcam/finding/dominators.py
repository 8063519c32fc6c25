"""The tensors that every path from the image to a tensor passes.

Such a tensor dominates the other one: all evidence of the image is in it.
"""

from __future__ import annotations

from collections.abc import Collection

from spyglass_export.gradcam.finding.flow import Flow


def dominators(flow: Flow, target: str, without: Collection[str] = ()) -> list[str]:
    """Return the tensors that every path from the image to `target` passes, the last one first.

    `target` itself is the first, the image is the last. Paths through `without` do not count. The list is
    empty if no path is left.
    """
    before, behind = flow.before([target], without), flow.behind(flow.images, without)
    order = [name for name in flow.order if name in before and name in behind]
    position = {name: index for index, name in enumerate(order)}
    found, farthest = [], 0
    for index, name in enumerate(order):
        # Every tensor of `order` lies on a path. So an edge over this one belongs to a path around it.
        if farthest <= index:
            found.append(name)
        farthest = max([farthest, *(position[read] for read in flow.read_by(name) if read in position)])
    return found[::-1]
