"""The choice of the maps to explain, with what the user must know about it."""

from __future__ import annotations

import difflib

from spyglass_export.gradcam.errors import Advice, FeatureMapError
from spyglass_export.gradcam.finding.assumed import assumed_placement
from spyglass_export.gradcam.finding.maps import Located
from spyglass_export.gradcam.finding.products import computed_without_products
from spyglass_export.gradcam.finding.search import Choice, Search
from spyglass_export.gradcam.finding.several import several_maps


def default_choice(search: Search) -> Choice:
    """Return the last map that every path from the image to the scores passes, or several that do together.

    Raises FeatureMapError if there are none.
    """
    last = search.last_read(search.dominators)
    if last is not None:
        return Choice((last,), (*_assumed((last,)), *_later(search, last)))
    maps = several_maps(search)
    if maps is None:
        raise _no_map(search)
    names = " and ".join(f"'{each.tensor}'" for each in maps)
    told = f"no single feature map has all of the evidence: the heatmap is the sum of the maps {names}"
    if len(sizes := dict.fromkeys(each.grid for each in maps)) > 1:
        told += f", interpolated to one size ({', '.join(f'{height}x{width}' for height, width in sizes)})"
    return Choice(maps, (told, *_assumed(maps)))


def named_choice(search: Search, name: str) -> Choice:
    """Return the map called `name`, a tensor or a node. Raises FeatureMapError if it is not a map."""
    tensor = _tensor_called(search, name)
    if tensor not in search.flow.before([search.scores.tensor]):
        raise FeatureMapError(
            f"the scores '{search.scores.tensor}' do not depend on the feature map '{name}'"
        )
    found = search.maps.at(tensor, named=True)
    if found is None:
        raise _not_a_map(search, f"'{name}' has the shape {_shape(search, tensor)}")
    if search.attention.splits_heads(found):
        raise _not_a_map(search, f"'{name}', {_shape(search, tensor)}, holds the heads of attention")
    if tensor not in search.dominators and search.attention.is_compared(found):
        raise _not_a_map(search, f"attention compares the numbers of '{name}' with each other")
    if search.attention.weighs_places(found):
        raise _not_a_map(search, f"'{name}' holds the weights of attention")
    if search.attention.joins_projections(found):
        raise _not_a_map(search, f"'{name}' holds queries, keys and values of attention")
    return Choice((found,), (*_assumed((found,)), *_around(search, found)))


def _assumed(maps: tuple[Located, ...]) -> tuple[str, ...]:
    """What to say of maps behind an operator that hides where their places lie."""
    return tuple(
        f"an operator hides where the places of '{each.tensor}' lie in the image: the heatmap takes their "
        "height and width as those of the image"
        for each in maps
        if each.assumed
    )


def _later(search: Search, chosen: Located) -> tuple[str, ...]:
    """What to say if a later map has only a part of the evidence.

    In a transformer this goes without saying: attention is around the tokens of each block.
    """
    if chosen.placement.layout is None:
        return ()
    order = search.flow.order
    behind = order[order.index(chosen.tensor) + 1 :]
    before = search.flow.before([search.scores.tensor])
    # Pooled or gated, a map holds no further features.
    pooled = computed_without_products(search.view, search.flow, chosen.tensor)
    partial = before.difference(search.dominators, pooled)
    for tensor in reversed(behind):
        later = search.maps.at(tensor) if tensor in partial else None
        if later is None or later.placement.layout is None or later.placement.channels == 1:
            continue
        if search.may_be_explained(later) and not search.attention.is_compared(later):
            return (
                f"a part of the evidence goes around '{tensor}': the heatmap explains '{chosen.tensor}', the "
                "last map that has all of it",
            )
    return ()


def _around(search: Search, chosen: Located) -> tuple[str, ...]:
    """What to say of a named map that has only a part of the evidence, or none."""
    if search.is_read(chosen) is False:
        return (f"the class scores do not depend on '{chosen.tensor}' at any place: its heatmaps are 0",)
    if chosen.tensor in search.dominators:
        return ()
    position = {name: index for index, name in enumerate(search.flow.order)}
    earlier = [each for each in search.dominators if position[each] < position[chosen.tensor]]
    stream = next(filter(None, map(search.maps.at, earlier)), None)
    if stream is not None and not search.has_evidence_around(stream, [chosen.tensor]):
        return ()
    return (f"a part of the evidence goes around '{chosen.tensor}': its heatmap shows only the other part",)


def _tensor_called(search: Search, name: str) -> str:
    if name in search.view.producers:
        return name
    named = {node.name: node for node in search.view.nodes if node.name}
    if name in named:
        return named[name].outputs[0]
    close = difflib.get_close_matches(name, [*search.view.producers, *named], n=3, cutoff=0.4)
    similar = f"; similar names are {', '.join(map(repr, close))}" if close else ""
    raise FeatureMapError(f"the model has no tensor or node '{name}'{similar}")


def _not_a_map(search: Search, problem: str) -> FeatureMapError:
    """The error for a named tensor that is no map, with one that is, if there is one that has a gradient."""
    try:
        maps = default_choice(search).maps
    except FeatureMapError:
        maps = ()
    told = f"a feature map must hold numbers for several heights and widths of the image, but {problem}"
    advice = Advice.OTHER_FEATURE_MAP
    tried = next((each.tensor for each in maps if search.has_gradient(each)), None)
    return FeatureMapError(told) if tried is None else FeatureMapError(told, advice, tensors={advice: tried})


def _no_map(search: Search) -> FeatureMapError:
    scores = search.scores.tensor
    before = search.flow.before([scores])
    tensors = [name for name in reversed(search.flow.order) if name in before]
    parts = list(search.candidates(tensors))
    if not parts:
        if (hidden := next((each for each in tensors if _has_two_sides(search, each)), None)) is not None:
            return FeatureMapError(
                f"the graph does not show which parts of the image the places of '{hidden}' stand for: "
                "the network crops, pads or shifts the image by much, or computes on several parts or "
                "copies of it"
            )
        return FeatureMapError(
            "the class scores are not computed from any feature map: no tensor before them holds numbers for "
            "several heights and widths of the image"
        )
    last = parts[0].tensor
    return FeatureMapError(
        f"no feature map, and no sum of several, has all of the evidence: a part of it goes around '{last}', "
        "the last feature map",
        Advice.NAME_FEATURE_MAP,
    )


def _has_two_sides(search: Search, tensor: str) -> bool:
    """Return whether a tensor looks like a feature map, wherever its places lie in the image."""
    if not search.view.is_real(tensor):
        return False
    found = assumed_placement(search.view, tensor)
    return found is not None and not found.of_pixels and min(found.height, found.width) > 1


def _shape(search: Search, tensor: str) -> str:
    sizes = ("?" if size is None else str(size) for size in search.view.dims(tensor))
    return f"[{', '.join(sizes)}]"
