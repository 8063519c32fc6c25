"""The number of processors: affinity and control group's quota, in made-up `/proc` and `/sys` trees."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spyglass_server.engine.capacity.processors import usable_cpus

Tree = Callable[[dict[str, str]], Path]

V2_GROUP = {"proc/self/cgroup": "0::/pods/mine\n"}
V1_GROUP = {"proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n"}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    def make(files: dict[str, str]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return make


@pytest.fixture
def affinity() -> Iterator[int]:
    """The number of processors that the affinity allows to this process."""
    yield len(os.sched_getaffinity(0))


def test_without_a_control_group_the_affinity_is_the_limit(tree: Tree, affinity: int) -> None:
    assert usable_cpus(tree({})) == affinity


def test_a_quota_above_the_affinity_does_not_raise_the_limit(tree: Tree, affinity: int) -> None:
    assert usable_cpus(tree({**V2_GROUP, "sys/fs/cgroup/pods/mine/cpu.max": "6400000 100000"})) == affinity


def test_an_affinity_below_the_quota_is_the_limit(tree: Tree) -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cpus(tree({})) == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(("quota", "cpus"), [("100000", 1), ("50000", 1), ("1", 1), ("150000", 2)])
def test_a_quota_is_rounded_up(tree: Tree, affinity: int, quota: str, cpus: int) -> None:
    root = tree({**V2_GROUP, "sys/fs/cgroup/pods/mine/cpu.max": f"{quota} 100000\n"})

    assert usable_cpus(root) == min(cpus, affinity)


def test_the_quota_of_a_parent_group_is_applied_too(tree: Tree) -> None:
    files = {
        **V2_GROUP,
        "sys/fs/cgroup/pods/mine/cpu.max": "800000 100000",
        "sys/fs/cgroup/pods/cpu.max": "100000 100000",
    }

    assert usable_cpus(tree(files)) == 1


def test_the_quota_of_a_container_whose_own_group_is_the_root_is_applied(tree: Tree) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000"}

    assert usable_cpus(tree(files)) == 1


def test_without_a_quota_there_is_no_limit_of_a_group(tree: Tree, affinity: int) -> None:
    assert usable_cpus(tree({**V2_GROUP, "sys/fs/cgroup/pods/mine/cpu.max": "max 100000\n"})) == affinity


def test_the_quota_of_version_1_is_applied(tree: Tree) -> None:
    files = {
        **V1_GROUP,
        "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
    }

    assert usable_cpus(tree(files)) == 1


def test_the_quota_of_a_container_that_mounts_only_its_own_group_of_version_1_is_applied(tree: Tree) -> None:
    files = {
        **V1_GROUP,
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }

    assert usable_cpus(tree(files)) == 1


def test_without_a_quota_in_version_1_there_is_no_limit_of_a_group(tree: Tree, affinity: int) -> None:
    files = {
        **V1_GROUP,
        "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
    }

    assert usable_cpus(tree(files)) == affinity
