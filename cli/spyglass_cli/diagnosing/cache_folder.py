"""The folders in which a server keeps what it has measured and built."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from spyglass_cli.diagnosing.finding import Finding, Subject, fail, ok, warn


def check_cache_folder(subject: Subject) -> Iterator[Finding]:
    """Find folders that cannot be written to."""
    from spyglass_server.engine.profiling.store import ProfileStore

    settings = subject.settings
    if settings.profile_seconds:
        roots = [root if isinstance(root, Path) else None for root in settings.models]
        folders = [folder for root in roots for folder in ProfileStore(root).folders()]
        writable = next((folder for folder in folders if is_writable(folder)), None)
        if writable:
            yield ok(f"profiles are stored in {writable}")
        else:
            yield warn(
                f"no profile can be stored in {' or '.join(map(str, folders)) or 'any folder'}: each start "
                "measures again",
                "set XDG_CACHE_HOME to a folder that the server may write to",
            )
    if not all(isinstance(root, Path) for root in settings.models):
        copies = settings.remote_options.cache
        if not copies or not is_writable(copies):
            yield fail(
                f"models cannot be copied to {copies or 'a cache folder'}",
                "set --model-cache to another folder",
            )
    if settings.engine_cache and not is_writable(settings.engine_cache.expanduser()):
        yield fail(f"{settings.engine_cache} cannot be written to", "set --engine-cache to another folder")


def is_writable(folder: Path) -> bool:
    """Return whether this user can write to the folder, or make it."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
