"""Python and the installed packages, against the ranges in the metadata of Spyglass."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from spyglass_cli.diagnosing.finding import Finding, Subject, fail, ok, warn

_PACKAGE = "spyglass"
# The extras that every server needs; ONNX Runtime is in one of two others.
_NEEDED = ("", "serving", "images")
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def check_packages(subject: Subject) -> Iterator[Finding]:
    """Find packages that are missing or outside of their range; those of unused extras may be missing."""
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(text) for text in requires(_PACKAGE) or ()]
        needed_python = str(metadata(_PACKAGE)["Requires-Python"] or "")
    except PackageNotFoundError:
        yield warn("Spyglass is not installed as a package, so its ranges are unknown", "pip install .")
        return
    problems = [*_of_python(needed_python), *_of_runtimes()]
    checked = 0
    for requirement in requirements:
        if requirement.name == _PACKAGE:
            continue
        found, needed = _installed(requirement.name), _applies(requirement, _NEEDED)
        if found is None:
            if needed:
                problems.append(fail(f"{requirement.name} is missing", f"pip install '{requirement.name}'"))
            continue
        checked += 1
        if not requirement.specifier.contains(found, prereleases=True) and _applies(requirement, _extras()):
            finding = fail if needed else warn
            wanted = f"{requirement.name}{requirement.specifier}"
            problems.append(
                finding(f"{requirement.name} {found} is installed, not {wanted}", f"pip install '{wanted}'")
            )
    yield from problems or [
        ok(f"Python {platform.python_version()} and {checked} packages are in their ranges")
    ]


def _of_python(specifier: str) -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    if specifier and not SpecifierSet(specifier).contains(platform.python_version(), prereleases=True):
        yield fail(f"this is Python {platform.python_version()}, not {specifier}", "use another Python")


def _of_runtimes() -> Iterator[Finding]:
    found = [name for name in _RUNTIMES if _installed(name)]
    if not found:
        yield fail("ONNX Runtime is missing", "install Spyglass with the extra server or server-gpu")
    if len(found) > 1:
        yield warn(
            "onnxruntime and onnxruntime-gpu are both installed, and overwrite each other's files",
            "uninstall both, and install one of them again",
        )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _extras() -> tuple[str, ...]:
    return ("", *(metadata(_PACKAGE).get_all("Provides-Extra") or ()))


def _applies(requirement: object, extras: tuple[str, ...]) -> bool:
    marker = getattr(requirement, "marker", None)
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
