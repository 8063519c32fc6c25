"""The requests of one command, the same for every image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from spyglass_cli.asking.class_lookup import Target, looked_up
from spyglass_cli.asking.outcomes import Result
from spyglass_client import Client, Refinement


@dataclass(frozen=True)
class ClassQuery:
    """The classes of each image, with heatmaps if there are `targets`.

    `model` is empty for the default model, `top_k` None for the default number of classes, and `timeout` in
    seconds for each image.
    """

    model: str = ""
    top_k: int | None = None
    timeout: float | None = None
    # Classes to explain, None: the predicted one; empty: no heatmaps. A text is a name or an index.
    targets: tuple[Target | None, ...] = ()

    def send(self, client: Client, images: Iterable[str | bytes]) -> Iterator[Result]:
        """Yield the result of each image, in their order. Raises SpyglassError."""
        if not self.targets:
            return client.classify_many(images, model=self.model, top_k=self.top_k, timeout=self.timeout)
        target, *further = looked_up(client, self.model, "classify", self.targets)
        return client.heatmap_many(
            images,
            target=target,
            further=[entry for entry in further if entry is not None],
            model=self.model,
            top_k=self.top_k,
            timeout=self.timeout,
        )


@dataclass(frozen=True)
class MaskQuery:
    """The class of each pixel; `model` and `timeout` are those of `ClassQuery`."""

    model: str = ""
    timeout: float | None = None
    refine: tuple[Refinement, ...] = ()
    # The class of the probability map; None: no map. A text is a name or an index, here and in `refine`.
    soft: Target | None = None
    # The class that is cut out of the result; it is only checked.
    cutout: Target | None = None

    def send(self, client: Client, images: Iterable[str | bytes]) -> Iterator[Result]:
        """Yield the result of each image, in their order. Raises SpyglassError."""
        targets: Sequence[Target | None] = [
            self.cutout,
            self.soft,
            *(entry.target for entry in self.refine),
        ]
        _, soft, *refined = looked_up(client, self.model, "segment", targets)
        refine = [
            replace(entry, target=target)
            for entry, target in zip(self.refine, refined, strict=True)
            if target is not None
        ]
        return client.segment_many(images, model=self.model, refine=refine, soft=soft, timeout=self.timeout)


Query = ClassQuery | MaskQuery
