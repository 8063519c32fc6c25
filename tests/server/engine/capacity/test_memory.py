"""The memory that a process may use, in made-up `/proc` and `/sys` trees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spyglass_server.engine.capacity.memory import (
    allocated_bytes,
    free_memory,
    memory_returner,
    usable_memory,
)

MEMINFO = "MemTotal:       16384 kB\nMemFree:        1000 kB\n"
V2 = {"proc/self/cgroup": "0::/pods/mine\n"}
V1 = {"proc/self/cgroup": "5:memory:/docker/abc\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 1 << 30),
        ({"proc/meminfo": MEMINFO}, 16 << 20),
        ({"proc/meminfo": MEMINFO, **V2, "sys/fs/cgroup/pods/mine/memory.max": "max"}, 16 << 20),
        ({"proc/meminfo": MEMINFO, **V2, "sys/fs/cgroup/pods/mine/memory.max": "5000000"}, 5_000_000),
        ({"proc/meminfo": MEMINFO, **V2, "sys/fs/cgroup/pods/memory.max": "4000000"}, 4_000_000),
        ({"proc/meminfo": MEMINFO, **V2, "sys/fs/cgroup/memory.max": "3000000"}, 3_000_000),
        ({"proc/meminfo": MEMINFO, **V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000"}, 2_000_000),
        (
            {
                "proc/meminfo": MEMINFO,
                **V1,
                "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "9223372036854771712",
            },
            16 << 20,
        ),
    ],
)
def test_the_smallest_limit_is_returned(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    write(tmp_path, files)

    assert usable_memory(tmp_path) == expected


STAT = "anon 5\ninactive_file 300000\nactive_file 7\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/meminfo": MEMINFO}, None),
        ({"proc/meminfo": "MemAvailable:   8192 kB\n"}, 8 << 20),
        (
            {
                **V2,
                "proc/meminfo": "MemAvailable:   8192 kB\n",
                "sys/fs/cgroup/pods/mine/memory.max": "5000000",
                "sys/fs/cgroup/pods/mine/memory.current": "4000000",
                "sys/fs/cgroup/pods/mine/memory.stat": STAT,
                "sys/fs/cgroup/pods/memory.max": "max",
                "sys/fs/cgroup/pods/memory.current": "4000000",
            },
            1_300_000,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "5000000",
                "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": "6000000",
            },
            0,
        ),
    ],
)
def test_the_least_free_memory_is_returned(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    write(tmp_path, files)

    assert free_memory(tmp_path) == expected


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_this_machine_has_more_than_zero_bytes_of_memory() -> None:
    assert usable_memory() > 1 << 24


def test_allocated_bytes_grow_with_an_allocation_and_shrink_after_it() -> None:
    allocated = allocated_bytes()
    before = allocated()
    if not before:
        pytest.skip("this C library does not say")

    block = bytes(100_000_000)
    during = allocated()
    del block

    assert during - before > 90_000_000
    assert during - allocated() > 90_000_000


def test_memory_can_be_returned_to_the_system_at_any_time() -> None:
    memory_returner()()


_FREED_ON_ANOTHER_THREAD = """
import sys
from contextlib import nullcontext
from pathlib import Path
from threading import Thread
from spyglass_server.engine.capacity.memory import return_large_blocks, returning_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

return_large_blocks()
blocks = []
before = resident()
# 40 MB in the arena of the thread.
thread = Thread(target=lambda: blocks.extend(bytes([1]) * 100_000 for _ in range(400)))
thread.start()
thread.join()
with returning_memory() if sys.argv[1] == "returning" else nullcontext():
    blocks.clear()
print(resident() - before)
"""


@pytest.mark.skipif(not allocated_bytes()(), reason="this C library has no such arenas")
@pytest.mark.parametrize(("manner", "kept"), [("returning", False), ("usual", True)])
def test_small_blocks_of_a_thread_are_returned_if_requested(manner: str, kept: bool) -> None:
    command = [sys.executable, "-c", _FREED_ON_ANOTHER_THREAD, manner]
    grown = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert (grown > 30_000_000) == kept
