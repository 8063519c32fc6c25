"""The rules by which a server opens model files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from spyglass_contract.model_files.limits import FileLimits
from spyglass_contract.model_files.model_file import ModelFile, check_file
from spyglass_contract.model_files.signature import TrustedKeys


@dataclass(frozen=True)
class FileRules:
    """Limits, and the keys one of which must have signed each file; None: no signature is needed."""

    limits: FileLimits = field(default_factory=FileLimits)
    keys: TrustedKeys | None = None

    def open(self, path: Path) -> ModelFile:
        """Read and check an ONNX file and its external data. Raises ModelError."""
        return check_file(path, self.limits, self.check_signature)

    def check_signature(self, path: Path, content: BinaryIO) -> None:
        """Raise ModelError unless one of the keys has signed this content of `path`."""
        if self.keys:
            self.keys.verify(path, content)
