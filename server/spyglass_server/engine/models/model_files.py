"""The model files of folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.lifecycle.policy import LATEST, VersionPolicy
from spyglass_server.engine.models.stores.folder import FolderStore


def model_files(roots: Path | Sequence[Path], policy: VersionPolicy = LATEST) -> list[Path]:
    """Return each NAME/VERSION/model.onnx below the folders that serves by `policy`, by name and version.

    Raises ModelError if a folder does not exist or has no such file, or if two folders have the same version.
    """
    found: dict[str, dict[int, Path]] = {}
    for root in [roots] if isinstance(roots, Path) else roots:
        for path in files_below(root):
            known = found.setdefault(path.parent.parent.name, {})
            other = known.setdefault(int(path.parent.name), path)
            if other.resolve() != path.resolve():
                raise ModelError(f"{other} and {path} have the same name and version; serve one of them")
    return [
        by_version[version]
        for name, by_version in sorted(found.items())
        for version in sorted(policy.choose(name, by_version))
    ]


def files_below(root: Path) -> list[Path]:
    """Return each NAME/VERSION/model.onnx below one folder. Raises ModelError if there is none."""
    if not root.is_dir():
        adopt = f"; `spyglass adopt {root}` makes a model of an ONNX classifier" if root.is_file() else ""
        raise ModelError(f"{root} is not a folder of models{adopt}")
    found = FolderStore(root).files()
    if not found:
        raw = next((path for depth in ("*", "*/*", "*/*/*") for path in root.glob(f"{depth}.onnx")), None)
        adopt = f"; `spyglass adopt {raw}` makes a model of an ONNX classifier" if raw else ""
        raise ModelError(f"{root} has no file NAME/VERSION/model.onnx{adopt}")
    return found
