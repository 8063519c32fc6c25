"""The files of this process's control groups, in versions 1 and 2 of their hierarchy."""

from __future__ import annotations

from pathlib import Path


def values_v2(root: Path, name: str) -> list[str]:
    """Return the texts of the file `name` of this process's group and of each parent group that has it."""
    return _values(root, root / "sys/fs/cgroup", "", name)


def values_v1(root: Path, controller: str, name: str) -> list[str]:
    """Return the same as `values_v2`, from version 1 of the hierarchy of one controller, if it is mounted."""
    return _values(root, root / "sys/fs/cgroup" / controller, controller, name)


def folders_v2(root: Path) -> list[Path]:
    """Return the folder of this process's group and of each parent group, in version 2."""
    group = _group(root, "")
    return [root / "sys/fs/cgroup" / folder for folder in (group, *group.parents)]


def folders_v1(root: Path, controller: str) -> list[Path]:
    """Return the same as `folders_v2`, in version 1, of the hierarchy of one controller."""
    group = _group(root, controller)
    return [root / "sys/fs/cgroup" / controller / folder for folder in (group, *group.parents)]


def read(path: Path) -> str:
    """Return the text of a file without surrounding white space, or an empty text if it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _values(root: Path, mount: Path, controller: str, name: str) -> list[str]:
    group = _group(root, controller)
    return [value for folder in (group, *group.parents) if (value := read(mount / folder / name))]


def _group(root: Path, controller: str) -> Path:
    """Return this process's control group, a path relative to the mount point of the hierarchy."""
    for line in read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(path.lstrip("/"))
    return Path()
