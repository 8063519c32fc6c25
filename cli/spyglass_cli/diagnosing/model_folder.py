"""The model files: readable, allowed, signed if that is required, and equal to their certificates."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli.diagnosing.finding import Finding, Subject, fail, ok, warn
from spyglass_contract.errors import SpyglassError

if TYPE_CHECKING:
    from spyglass_server.settings import ServerSettings


def check_models(subject: Subject) -> Iterator[Finding]:
    """Check each file as a server does when it starts; `quick` leaves out the certificates."""
    from spyglass_server.engine.models.repository import check_served

    settings = subject.settings
    try:
        files = list(_files(settings))
        if "default_model" in settings.model_fields_set:
            check_served(settings.default_model, [path.parent.parent.name for path in files])
    except SpyglassError as error:
        yield fail(error.message)
        return
    for path in files:
        yield _check(path, subject)
        yield from _permissions(path)


def _files(settings: ServerSettings) -> Iterator[Path]:
    """Yield the files that a server loads; those at URLs are copied to this machine. Raises ModelError."""
    from spyglass_server.engine.models.model_files import model_files
    from spyglass_server.engine.models.stores.opening import open_store

    yield from model_files(
        [place for place in settings.models if isinstance(place, Path)], settings.version_policy
    )
    for place in settings.models:
        if isinstance(place, Path):
            continue
        store = open_store(place, settings.remote_options)
        found = {(stored.name, stored.version): stored for stored in store.versions()}
        for name in sorted({name for name, _ in found}):
            versions = {version for of, version in found if of == name}
            for version in sorted(settings.version_policy.choose(name, versions)):
                yield store.fetch(found[name, version])


def _check(path: Path, subject: Subject) -> Finding:
    from spyglass_server.engine.models.lifecycle.loading import load_model
    from spyglass_server.engine.models.model import Model
    from spyglass_server.engine.models.providers.graph import read_graph
    from spyglass_server.engine.models.resources import Resources

    settings = subject.settings
    name = f"{path.parent.parent.name}/{path.parent.name}"
    try:
        if subject.quick:
            file = settings.file_rules.open(path)
            card = read_graph(file).card
            if (card.name, str(card.version)) != (path.parent.parent.name, path.parent.name):
                return fail(f"{name}: the card in the file is of {card.name}/{card.version}")
            return ok(f"{name}: the file and its card are valid; the certificate was not replayed")
        resources = Resources(
            device=settings.device,
            provider=settings.provider,
            precision=settings.precision,
            gpu_memory_limit=settings.gpu_memory_limit,
            rules=settings.file_rules,
        )
        model = load_model(path, lambda file: Model.load(file, resources))
        certificate = model.card.certificate
    except SpyglassError as error:
        message = error.message if error.message.startswith(name) else f"{name}: {error.message}"
        return fail(f"{message} ({error.reason})")
    signed = ", signed" if settings.require_signature else ""
    return ok(f"{name}: reproduces its certificate of {certificate.reference}{signed}")


def _permissions(path: Path) -> Iterator[Finding]:
    for entry in (path, path.parent):
        mode = os.stat(entry).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield warn(f"every user of this machine may change {entry}", f"chmod o-w {entry}")
