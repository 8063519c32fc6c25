"""What tells one file from another."""

from __future__ import annotations

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Lower-case hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
