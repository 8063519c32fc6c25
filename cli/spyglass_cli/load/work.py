"""The requests of a load test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from spyglass_client import AsyncClient, Classification, Client, Segmentation

Result = Classification | Segmentation
"""A Heatmap is a Classification, too."""

Task = Literal["classify", "heatmap", "segment"]


@dataclass(frozen=True)
class Work:
    """What every process of a load test sends: `images` by turns."""

    images: tuple[bytes, ...]
    task: Task = "classify"
    model: str = ""

    def blocking(self, client: Client) -> Callable[[int], Result]:
        """Return a function that sends the request of this number and waits for the response."""
        send: Callable[..., Result] = getattr(client, self.task)
        return lambda number: send(self._image(number), model=self.model)

    def awaitable(self, client: AsyncClient) -> Callable[[int], Awaitable[object]]:
        """Return a function that starts the request of this number."""
        send: Callable[..., Awaitable[object]] = getattr(client, self.task)
        return lambda number: send(self._image(number), model=self.model)

    def streaming(self, client: Client, numbers: Iterator[int], window: int) -> Iterator[object]:
        """Send the requests of these numbers over one stream; yield results and Failures in their order."""
        send: Callable[..., Iterator[object]] = getattr(client, f"{self.task}_many")
        return send(map(self._image, numbers), model=self.model, window=window)

    def _image(self, number: int) -> bytes:
        return self.images[number % len(self.images)]
