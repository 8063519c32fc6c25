"""Who may call, and what one caller may use."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings


class CallerSettings(BaseSettings):
    """Who may call, and what one caller may use."""

    tokens: Path | None = Field(
        None,
        description="File of the tokens and client certificates that may call, made by `spyglass token new`; "
        "without it, everyone may.",
    )
    caller_requests_per_second: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Requests a second of one caller, with a burst of 2 seconds; a stream waits, other calls "
        "are refused; 0: no limit.",
    )
    caller_megapixels_per_second: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Megapixels of images a second of one caller, with a burst of 2 seconds; 0: no limit.",
    )
    caller_concurrent_calls: int = Field(
        0, ge=0, le=65536, description="Calls with one request at a time of one caller; 0: no limit."
    )
    max_streams_per_caller: int = Field(
        0,
        ge=0,
        le=1024,
        description="Streaming calls of one caller: the name of its token, else its address; 0: as many as "
        "there are.",
    )
    max_receiving_per_caller: int = Field(
        0,
        ge=0,
        le=65536,
        description="Calls of one address whose request is still being received; 0: three quarters of all.",
    )
