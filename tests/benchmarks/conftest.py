"""The modules of the benchmarks, which are scripts and not a package."""

from __future__ import annotations

import sys
from pathlib import Path

# At the end: a test's own modules come first.
sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
