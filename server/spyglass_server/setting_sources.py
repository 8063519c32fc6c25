"""Settings from the environment and from a file, without what is empty and what others put there."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, YamlConfigSettingsSource

from spyglass_contract.errors import InvalidInput
from spyglass_server.setting_values import plain_type

PREFIX = "SPYGLASS_"

# Variables with our prefix that are not settings of the server: the address for the commands.
_OF_COMMANDS = frozenset(("SPYGLASS_SERVER",))
# What Kubernetes sets in every pod of a namespace with a Service named spyglass, or spyglass-something.
_OF_SERVICES = re.compile(
    r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


def read_environment(settings: type[BaseSettings]) -> tuple[dict[str, Any], list[str]]:
    """Return the values by the names of settings, and warnings about variables that are ignored."""
    found = without_empty(EnvSettingsSource(settings, env_prefix=PREFIX)())
    warnings = []
    if _SERVICE_ADDRESS.match(str(found.get("port", ""))):
        warnings.append(
            f"{PREFIX}PORT={str(found.pop('port'))[:100]} is ignored: Kubernetes sets it in every pod beside "
            "a Service named spyglass; set enableServiceLinks: false in the pod, or use --port"
        )
    if unknown := _unknown_variables(settings):
        warnings.append(f"unknown environment variables are ignored: {', '.join(unknown)}")
    return found, warnings


def _unknown_variables(settings: type[BaseSettings]) -> list[str]:
    known = {f"{PREFIX}{name.upper()}" for name in settings.model_fields}
    unknown = []
    for variable, value in sorted(os.environ.items()):
        name = variable.upper()
        of_service = _OF_SERVICES.fullmatch(name) or _SERVICE_ADDRESS.match(value)
        if name.startswith(PREFIX) and name not in known | _OF_COMMANDS and not of_service:
            unknown.append(f"{variable[:100]}{_similar(name, known)}")
    return unknown


def read_file(settings: type[BaseSettings], path: str) -> dict[str, Any]:
    """Return the values in a YAML file by the names of settings.

    Raises InvalidInput if there is no such file, or if it is not YAML of settings.
    """
    if not Path(path).is_file():
        raise InvalidInput(f"no settings file at {path}", field="config")
    try:
        data = YamlConfigSettingsSource(settings, yaml_file=path).yaml_data
    # The errors of the YAML reader, and of a file that holds something else, have no common base.
    except Exception as error:
        is_other = isinstance(error, ValueError | TypeError | AttributeError)
        reason = "expected a name and a value in each line" if is_other else " ".join(str(error).split())
        raise InvalidInput(f"the settings in {path} cannot be read: {reason}", field="config") from error
    found = {}
    for key, value in data.items():
        name = str(key).strip().lower().replace("-", "_")
        field = settings.model_fields.get(name)
        if field is None or name == "config":
            raise InvalidInput(
                f"{path} has the unknown setting {str(key)[:100]!r}{_similar(name, settings.model_fields)}",
                field="config",
            )
        # YAML reads `yes` and `on` as true, which is no number.
        found[name] = (
            str(value).lower() if isinstance(value, bool) and plain_type(field) is not bool else value
        )
    return without_empty(found)


def without_empty(found: dict[str, Any]) -> dict[str, Any]:
    """Return the values without empty ones: an empty value means that the setting is not set."""
    return {name: value for name, value in found.items() if not _is_empty(value)}


def _is_empty(value: object) -> bool:
    if isinstance(value, list):
        return all(_is_empty(entry) for entry in value)
    return value is None or (isinstance(value, str) and not value.strip())


def _similar(name: str, known: Any) -> str:
    similar = get_close_matches(name, list(known), 1)
    return f" (did you mean {similar[0]}?)" if similar else ""
