"""Maps that hold all of the evidence only together: of two backbones, or of an image and its mirror image."""

from __future__ import annotations

from spyglass_export.gradcam.finding.dominators import dominators
from spyglass_export.gradcam.finding.maps import Located
from spyglass_export.gradcam.finding.search import Search

# Branches of branches that are searched.
_DEPTH = 8


def several_maps(search: Search) -> tuple[Located, ...] | None:
    """Return the last map on each path from the image to the scores.

    None if a path has no map, or if a map lies before another one: then the two share evidence.
    """
    found = _on_all_paths(search, search.scores.tensor, _DEPTH)
    if found is None:
        return None
    maps = {each.tensor: each for each in found}
    for tensor in maps:
        if not search.flow.behind([tensor]).isdisjoint(maps.keys() - {tensor}):
            return None
    order = {name: index for index, name in enumerate(search.flow.order)}
    return tuple(sorted(maps.values(), key=lambda each: order[each.tensor]))


def _on_all_paths(search: Search, tensor: str, depth: int) -> list[Located] | None:
    passed = dominators(search.flow, tensor)
    if (last := search.last_read(passed)) is not None:
        return [last]
    if depth == 0:
        return None
    # From the image on: the first merge whose branches have maps is the one at which they come together.
    for merge in reversed(passed):
        if (found := _in_branches(search, merge, depth - 1)) is not None:
            return found
    return None


def _in_branches(search: Search, merge: str, depth: int) -> list[Located] | None:
    """The maps of the branches that come together in a tensor, None if there are not two with a map."""
    branches = search.flow.computed_from(merge)
    if len(branches) < 2:
        return None
    maps: list[Located] = []
    for branch in branches:
        found = _on_all_paths(search, branch, depth)
        if found is None:
            return None
        maps.extend(found)
    return maps
