"""The index of a repository: models.json at its root, with the hashes of all files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from spyglass_contract.images.folders import is_hidden
from spyglass_server.engine.models.stores.failures import StoreError
from spyglass_server.engine.models.stores.folder import FolderStore
from spyglass_server.engine.models.stores.names import MAX_DEPTH, is_file_path, is_name
from spyglass_server.engine.models.stores.store import MODEL_FILE

INDEX_FILE = "models.json"
MAX_INDEX_BYTES = 16 * 1024 * 1024
MAX_FILES = 1000
"""The most files of one version."""


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("expected a name of a model: without spaces, slashes, colons and @")
    return text


def _path(text: str) -> str:
    if not is_file_path(text):
        raise ValueError("expected a path inside the version's folder, such as model.onnx")
    return text


@dataclass(frozen=True)
class IndexedFile:
    """One file of a version."""

    # Below NAME/VERSION, with slashes.
    path: Annotated[str, AfterValidator(_path)]
    # Lower-case hexadecimal.
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class IndexedVersion:
    """One version of a model."""

    name: Annotated[str, AfterValidator(_name)]
    version: Annotated[int, Field(ge=1, lt=10**18)]
    files: Annotated[tuple[IndexedFile, ...], Field(max_length=MAX_FILES)]


@dataclass(frozen=True)
class Index:
    """The content of models.json: every version that the repository has."""

    format: Literal[1]
    models: tuple[IndexedVersion, ...]


_INDEX = TypeAdapter(Index)


def read_index(data: bytes, place: str) -> Index:
    """Return the index in a file. Raises StoreError (STORE_INDEX_INVALID)."""
    if len(data) > MAX_INDEX_BYTES:
        raise _invalid(place, f"it has more than {MAX_INDEX_BYTES} bytes")
    try:
        index = _INDEX.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:100] or "the text"
        raise _invalid(place, f"{where}: {first['msg'][:200]}") from None
    seen: set[tuple[str, int]] = set()
    for entry in index.models:
        title = f"{entry.name}/{entry.version}"
        if (entry.name, entry.version) in seen:
            raise _invalid(place, f"it has {title} twice")
        seen.add((entry.name, entry.version))
        paths = {file.path for file in entry.files}
        if len(paths) < len(entry.files):
            raise _invalid(place, f"{title} has a file twice")
        if MODEL_FILE not in paths:
            raise _invalid(place, f"{title} has no {MODEL_FILE}")
        if any(str(parent) in paths for path in paths for parent in PurePosixPath(path).parents):
            raise _invalid(place, f"{title} has a file inside a file")
    return index


def write_index(index: Index) -> bytes:
    """Return the file of an index."""
    return _INDEX.dump_json(index, indent=1) + b"\n"


def index_of(folder: Path) -> Index:
    """Return the index of a folder with NAME/VERSION/model.onnx, hidden files left out.

    Raises StoreError if it has no model or files that an index cannot hold, and OSError.
    """
    versions = []
    for model in FolderStore(folder).files():
        name, version = model.parent.parent.name, int(model.parent.name)
        if not is_name(name) or version < 1:
            raise StoreError(f"{name[:100]!r}/{version} cannot be in an index: rename the folder")
        files = tuple(_indexed(path, model.parent) for path in _files(model.parent))
        versions.append(IndexedVersion(name, version, files))
    if not versions:
        raise StoreError(f"{folder} has no file NAME/VERSION/{MODEL_FILE}")
    index = Index(1, tuple(versions))
    # What nobody could read is not written.
    return read_index(write_index(index), str(folder))


def _files(folder: Path, depth: int = 1) -> Iterator[Path]:
    """Yield the files below the folder of a version. Raises StoreError for folders that are too deep."""
    for entry in sorted(folder.iterdir()):
        if is_hidden(entry.name):
            continue
        if entry.is_dir():
            if depth == MAX_DEPTH:
                raise StoreError(f"{entry} is too deep: a path has at most {MAX_DEPTH} parts")
            yield from _files(entry, depth + 1)
        elif entry.is_file():
            yield entry


def _indexed(path: Path, folder: Path) -> IndexedFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return IndexedFile(path.relative_to(folder).as_posix(), digest, file.tell())


def _invalid(place: str, problem: str) -> StoreError:
    return StoreError(
        f"{place} is not an index of models: {problem}; `spyglass models index FOLDER` writes one",
        reason="STORE_INDEX_INVALID",
    )
