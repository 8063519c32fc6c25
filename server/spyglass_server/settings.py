"""Every setting of the server: the same name as a flag, as SPYGLASS_… in the environment, and in YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from spyglass_contract.errors import InvalidInput
from spyglass_server.engine.models.stores.url import without_credentials
from spyglass_server.setting_flags import flag, read_flags
from spyglass_server.setting_groups.callers import CallerSettings
from spyglass_server.setting_groups.models import ModelSettings
from spyglass_server.setting_groups.network import NetworkSettings
from spyglass_server.setting_groups.observing import ObservingSettings
from spyglass_server.setting_groups.processes import ProcessSettings
from spyglass_server.setting_groups.requests import RequestSettings
from spyglass_server.setting_rules import check_together
from spyglass_server.setting_sources import PREFIX, read_environment, read_file, without_empty
from spyglass_server.setting_values import expected
from spyglass_server.tls.exposure import EVERY_ADDRESS, LOOPBACK


# The help shows the groups from the last one to the first.
class ServerSettings(
    ObservingSettings, CallerSettings, RequestSettings, ProcessSettings, ModelSettings, NetworkSettings
):
    """Values that were read elsewhere: `load_settings` reads flags, the environment and a file."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, validate_default=False)

    config: Path | None = Field(None, description="YAML file with any of these settings.")

    @property
    def effective_max_receiving_per_caller(self) -> int:
        """The same for one address."""
        return self.max_receiving_per_caller or math.ceil(0.75 * self.effective_max_receiving)

    @property
    def is_protected(self) -> bool:
        """Whether the server encrypts what it sends, or knows who calls."""
        return self.tls_certificate is not None or self.tokens is not None

    @property
    def effective_host(self) -> str:
        """The host to listen on."""
        return self.host or (EVERY_ADDRESS if self.is_protected else LOOPBACK)

    @property
    def listen_address(self) -> str:
        """The address that gRPC listens on: HOST:PORT, [IPV6]:PORT, or unix:PATH."""
        host = self.effective_host
        return host if host.startswith("unix") else f"{host}:{self.port}"

    @property
    def local_target(self) -> str:
        """The address by which a client on the same machine reaches the server.

        Raises InvalidInput for port 0, which stands for any free port.
        """
        host = self.effective_host
        if host.startswith("unix"):
            return host
        if not self.port:
            raise InvalidInput("port 0 is any free port, whose number only the server knows", field="port")
        host = {"0.0.0.0": "127.0.0.1", "[::]": "localhost"}.get(host, host)
        return f"{host}:{self.port}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the given values only; `load_settings` reads the others, each with its name for messages."""
        return (init_settings,)


@dataclass(frozen=True)
class LoadedSettings:
    """Settings, and warnings about variables of the environment that were ignored."""

    settings: ServerSettings
    warnings: tuple[str, ...] = ()


def load_settings(arguments: Sequence[str], program: str = "spyglass serve") -> ServerSettings:
    """Return the settings of `read_settings` without the warnings."""
    return read_settings(arguments, program).settings


def read_settings(arguments: Sequence[str], program: str = "spyglass serve") -> LoadedSettings:
    """Read flags, the environment and the file that they name; the first of these that has a setting wins.

    An empty value means that the setting is not set. Prints the usage and exits with 2, as argparse does, for
    an unknown flag. Raises InvalidInput if the file cannot be read, or if a value is not allowed: the message
    names the flag, the variable or the file, and what the value should be.
    """
    flags = without_empty(read_flags(ServerSettings, arguments, program))
    environment, warnings = read_environment(ServerSettings)
    path = flags.get("config") or environment.get("config")
    file = read_file(ServerSettings, path) if path else {}
    names = {
        **{name: f"{name} in {path}" for name in file},
        **{name: f"{PREFIX}{name.upper()}" for name in environment},
        **{name: flag(name) for name in flags},
    }
    values = {**file, **environment, **flags}
    try:
        settings = ServerSettings(**values)
        check_together(settings)
        return LoadedSettings(settings, tuple(warnings))
    except ValidationError as error:
        # One message for each setting, in the order of the settings.
        invalid = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors())
        raise InvalidInput(
            "; ".join(_problem(name, names, values) for name in invalid), field=next(iter(invalid))
        ) from error


def _problem(name: str, names: Mapping[str, str], values: Mapping[str, Any]) -> str:
    value = values[name]
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    shown = without_credentials(shown)[:100]
    return f"{names[name]} must be {expected(ServerSettings.model_fields[name])}, not {shown!r}"
