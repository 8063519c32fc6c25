"""Send 100,000 mixed requests to a server, and see whether its memory stays flat.

The mixture has classifications, heatmaps, masks, streams that are left before their end, images that
cannot be decoded, unknown models, cancelled calls, short deadlines, and bursts of which the server refuses a
part; connections come and go. The script prints the statuses of each kind, and the server's memory, threads
and open files. The aim: at most 5 % more memory in the last tenth of the requests than in the second tenth.

    python benchmarks/soak.py [--requests 100000] [--json FILE] [--plot FILE] [--docs] [-- FLAGS of serve]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from measuring.docs_section import IMAGES, replace_section
from measuring.machine import describe_machine, machine_line
from measuring.markdown import table
from measuring.plots import figure, save
from serving_process import serving
from soaking.mixture import Mixture
from soaking.requests import kinds
from spyglass_server.engine.models.bundled import bundled_models

_PLOT = "soak.svg"
_EVERY_SECONDS, _ALLOWED = 1.0, 1.05


@dataclass(frozen=True)
class Sample:
    """The server after `requests` requests."""

    requests: int
    megabytes: float
    threads: int
    files: int


def main() -> int:
    """Print the statuses and the memory; return 1 if it grew, or if a status was unexpected."""
    options = _parse()
    flags = ("--models", str(bundled_models()), *options.flags)
    with serving(*flags, log_level="error") as (address, server):
        every = kinds(options.model, options.tiny_model, options.mask_model)
        mixture = Mixture(address, every, options.requests, options.threads)
        started = time.perf_counter()
        samples = _run(mixture, server)
    seconds = time.perf_counter() - started
    first, last = _ends(samples)
    flat = last <= _ALLOWED * first
    unexpected = mixture.unexpected()
    text = "\n\n".join(
        (
            f"{machine_line(describe_machine())}. {mixture.sent:,} requests in {seconds:.0f} s, "
            f"{options.threads} at a time.",
            _statuses(mixture),
            f"Resident memory: {first:.0f} MB in the second tenth, {last:.0f} MB in the last: "
            f"{'met' if flat else '**not met**'}. Threads {samples[0].threads} at the start, "
            f"{samples[-1].threads} at the end; open files {samples[0].files} and {samples[-1].files}.",
            f"Statuses that should not come: {unexpected or 'none'}.",
        )
    )
    print(text)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in samples], indent=1) + "\n")
    if options.plot:
        _save_plot(samples, options.plot)
    if options.docs:
        _save_plot(samples, IMAGES / _PLOT)
        replace_section("soak", f"{text}\n\n![resident memory over requests](images/{_PLOT})")
    return 0 if flat and not unexpected else 1


def _run(mixture: Mixture, server: psutil.Process) -> list[Sample]:
    samples = [_sample(mixture, server)]
    sender = threading.Thread(target=mixture.run)
    sender.start()
    while sender.is_alive():
        sender.join(_EVERY_SECONDS)
        samples.append(_sample(mixture, server))
        if len(samples) % 30 == 0:
            print(f"{samples[-1].requests:,} requests, {samples[-1].megabytes:.0f} MB", flush=True)
    if mixture.failure is not None:
        raise mixture.failure
    # What a cancelled call holds is free a moment later.
    time.sleep(_EVERY_SECONDS)
    return [*samples, _sample(mixture, server)]


def _sample(mixture: Mixture, server: psutil.Process) -> Sample:
    return Sample(mixture.sent, server.memory_info().rss / 1e6, server.num_threads(), server.num_fds())


def _ends(samples: list[Sample]) -> tuple[float, float]:
    """Return the median megabytes of the second and of the last tenth of the requests."""
    total = samples[-1].requests
    second = [each.megabytes for each in samples if 0.1 * total <= each.requests <= 0.2 * total]
    last = [each.megabytes for each in samples if each.requests >= 0.9 * total]
    return statistics.median(second or [samples[0].megabytes]), statistics.median(last)


def _statuses(mixture: Mixture) -> str:
    names = list(dict.fromkeys(name for name, _ in mixture.statuses))
    rows = []
    for name in sorted(names):
        counts = {status: count for (kind, status), count in mixture.statuses.items() if kind == name}
        text = ", ".join(f"{status} {count:,}" for status, count in sorted(counts.items()))
        rows.append([name, f"{sum(counts.values()):,}", text])
    return table(("requests", "number", "statuses"), rows)


def _save_plot(samples: list[Sample], path: Path) -> None:
    drawing, panels = figure(1, 1, width=8, height=4)
    panel = panels[0, 0]
    panel.plot([each.requests for each in samples], [each.megabytes for each in samples])
    panel.set(xlabel="requests", ylabel="resident memory, MB")
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    save(drawing, path)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000, help="requests to send (default: 100000)")
    parser.add_argument("--threads", type=int, default=16, help="client threads (default: 16)")
    parser.add_argument("--model", default="defects", help="bundled model of photographs and heatmaps")
    parser.add_argument("--tiny-model", default="mnist-convnet", help="bundled model of the tiny images")
    parser.add_argument("--mask-model", default="foreground", help="bundled model of the masks")
    parser.add_argument("--json", type=Path, help="file for the samples")
    parser.add_argument("--plot", type=Path, help="file for the plot of the memory, SVG or PNG")
    parser.add_argument("--docs", action="store_true", help="write the results into docs/performance.md")
    parser.add_argument("flags", nargs="*", metavar="FLAG", help="flags of `spyglass serve`, after --")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.pop("SPYGLASS_SERVER", None)
    sys.exit(main())
