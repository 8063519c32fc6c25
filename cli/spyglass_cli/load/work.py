"""The requests of a load test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from spyglass_client import AsyncClient, Client, Credentials, Retry, Timeout, Transport

Task = Literal["classify", "heatmap", "segment"]

TASKS: tuple[Task, ...] = ("classify", "heatmap", "segment")

# A load test counts what the server refuses, so the client does not send it again.
_NO_RETRY = Retry(attempts=1)


@dataclass(frozen=True)
class Work:
    """What every process of a load test sends: `images` by turns, each with a deadline of `timeout` seconds.

    `server` is the server's address; None: the models in this process, from the folder `models`, or the
    bundled ones if that is None.
    """

    images: tuple[bytes, ...]
    task: Task = "classify"
    model: str = ""
    timeout: float = 10.0
    server: str | None = None
    token_file: Path | None = None
    ca: Path | None = None
    models: Path | None = None
    device: str = "cpu"

    def client(self) -> Client:
        """Return a new blocking client. Raises SpyglassError."""
        return Client(**self._connection())

    def async_client(self) -> AsyncClient:
        """Return a new client for asyncio. Raises SpyglassError."""
        return AsyncClient(**self._connection())

    def blocking(self, client: Client) -> Callable[[int], object]:
        """Return a function that sends the request of this number and waits for the response."""
        send: Callable[..., object] = getattr(client, self.task)
        return lambda number: send(self._image(number), model=self.model)

    def awaitable(self, client: AsyncClient) -> Callable[[int], Awaitable[object]]:
        """Return a function that starts the request of this number."""
        send: Callable[..., Awaitable[object]] = getattr(client, self.task)
        return lambda number: send(self._image(number), model=self.model)

    def _image(self, number: int) -> bytes:
        return self.images[number % len(self.images)]

    def _connection(self) -> dict[str, Any]:
        common = {"timeout": Timeout(call=self.timeout), "retry": _NO_RETRY}
        if self.server is None:
            return {**common, "transport": self._local_transport()}
        credentials = Credentials.from_files(token=self.token_file, ca=self.ca)
        return {**common, "target": self.server, "credentials": credentials}

    def _local_transport(self) -> Transport:
        from spyglass_server.local import local_transport

        open_transport = partial(local_transport, device=self.device)
        return open_transport(self.models)
