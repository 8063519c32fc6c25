"""Runs architectures one after another in a process beside this one, and keeps a line for each file."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as TooLong
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

from zoo.architectures import Architecture
from zoo.lines import Line, add_results, describe, read_results

# A process keeps the memory of the networks that it has made.
_TASKS = 12
_SECONDS = 900


def run(chosen: Sequence[Architecture], cache: Path, results: Path, *, export_only: bool = False) -> None:
    """Export each architecture if needed, compare its files, and add a line for each to `results`.

    Architectures that have their lines are skipped. One that ends the process is recorded as crashed.
    """
    finished = {(line["key"], line["exporter"]) for line in read_results(results)}
    waiting = [
        each for each in chosen if not {(each.key, "legacy"), (each.key, "dynamo")} <= finished or export_only
    ]
    pool: ProcessPoolExecutor | None = None
    for architecture in waiting:
        pool = pool or _pool()
        done = {exporter for key, exporter in finished if key == architecture.key}
        try:
            lines = pool.submit(of_architecture, architecture, cache, done, export_only).result(_SECONDS)
        except (BrokenProcessPool, TooLong) as error:
            for process in (pool._processes or {}).values():
                process.kill()
            pool.shutdown()
            pool = None
            why = f"{type(error).__name__}: the process ended, or took more than {_SECONDS} s"
            missing = {"legacy", "dynamo"} - done
            lines = [_line(architecture.key, exporter, "crashed", why) for exporter in sorted(missing)]
        if not export_only:
            add_results(results, lines)
        for line in lines:
            print(describe(line), flush=True)


def _pool() -> ProcessPoolExecutor:
    spawning = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawning, max_tasks_per_child=_TASKS)


def of_architecture(architecture: Architecture, cache: Path, done: set[str], export_only: bool) -> list[Line]:
    """Return the lines of an architecture's files but those `done`."""
    import torch

    from zoo.comparison import compare
    from zoo.exports import EXPORTERS, export_all, file_path, folder_of, kept_network, read_record
    from zoo.torch_maps import TorchNetwork

    torch.set_num_threads(1)
    key, folder = architecture.key, folder_of(cache, architecture.key)
    export_all(architecture, cache)
    lines: list[Line] = []
    network: TorchNetwork | None = None
    for exporter in EXPORTERS:
        record = read_record(cache, key, exporter)
        if record.error:
            line = _line(key, exporter, "not run", record.error)
        elif export_only:
            line = _line(key, exporter, "exported", "")
        elif exporter in done:
            continue
        else:
            try:
                network = network or TorchNetwork(*kept_network(architecture, cache), folder)
                line = asdict(compare(network, key, exporter, file_path(folder, exporter)))
            # Whatever else fails is a fault, which the table must show.
            except Exception as error:
                traceback.print_exc()
                line = _line(key, exporter, "crashed", f"{type(error).__name__}: {error}")
        lines.append({**line, "exported_batch": record.batch, "exported_difference": record.difference})
    return lines


def _line(key: str, exporter: str, result: str, why: str) -> Line:
    return {"key": key, "exporter": exporter, "result": result, "why": why}
