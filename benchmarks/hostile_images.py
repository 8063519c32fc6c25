"""Measure what the worst image files within the limits cost: processor time and peak memory.

Every file has at most `--megabytes` (32 MiB, the server's default limit) and is made here, of what a format
allows to repeat, to nest or to leave out, and of the largest images that are allowed. Each is decoded and
resized to 224×224 pixels in a process of its own. A file that is refused costs what its refusal costs.

    python benchmarks/hostile_images.py [--only TEXT] [--megabytes 32]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from hostile.bmp import bmps
from hostile.gif import gifs
from hostile.jpeg import jpegs
from hostile.png import pngs
from hostile.tiff import tiffs
from hostile.webp import webps

LIMIT_SECONDS = 1.5

MEASURE = """
import json, sys, time
from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_STRETCH, InputSpec, ValueRange
from spyglass_contract.errors import SpyglassError
from spyglass_contract.images.pixels import prepare
spec = InputSpec(tensor="image", height=224, width=224, color_mode=COLOR_MODE_RGB, resize=RESIZE_RULE_STRETCH,
                 value_range=ValueRange(minimum=0, maximum=255), scaled_decode_margin=0)
data = open(sys.argv[1], "rb").read()
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before = peak()
start = time.process_time()
try:
    found = prepare(data, spec)
    outcome = f"{found.width}x{found.height}"
except SpyglassError as error:
    outcome = error.reason
seconds = time.process_time() - start
print(json.dumps([seconds, (peak() - before) / 1024, outcome]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="measure the files whose name contains this text")
    parser.add_argument(
        "--megabytes", type=int, default=32, help="size of the files that can have any, in MiB"
    )
    arguments = parser.parse_args()
    print("| file | bytes | processor time | memory | outcome |\n|---|---|---|---|---|")
    failed = 0
    for formats in (jpegs, pngs, gifs, webps, bmps, tiffs):
        for name, make in formats():
            if arguments.only.lower() not in name.lower():
                continue
            data = make(arguments.megabytes * 2**20 - 4096)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "image")
                path.write_bytes(data)
                done = subprocess.run(
                    [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, timeout=300
                )
            seconds, memory, outcome = json.loads(done.stdout) if done.stdout else (0, 0, done.stderr[-300:])
            lines = done.stderr.count("\n")
            if lines:
                outcome += f", {lines:,} lines on standard error"
            failed += seconds > LIMIT_SECONDS or bool(lines)
            mark = "**" if seconds > LIMIT_SECONDS else ""
            print(
                f"| {name} | {len(data):,} | {mark}{seconds:.2f} s{mark} | {memory:,.0f} MB | {outcome} |",
                flush=True,
            )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
