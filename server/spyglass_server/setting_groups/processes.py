"""The processes that share the port."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class ProcessSettings(BaseSettings):
    """The processes that share the port."""

    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes that serve on one port, each with all models; if there are more than 1, a "
        "supervisor replaces those that crash.",
    )
