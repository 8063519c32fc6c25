"""Heatmaps of many architectures of timm and torchvision, compared with torch's autograd.

Every architecture is made with random weights, exported by torch's tracing exporter (legacy) and by the one
that is now its default (dynamo), and adopted as `spyglass adopt` does. The tensor that the file explains is
found again in torch by its values. Grad-CAM of that tensor, by autograd in double precision, is the
reference; the same in float32 shows the noise of the network itself.

    pip install '.[zoo]'
    python benchmarks/zoo_heatmaps.py --cache FOLDER [--only NAME ...]
    python benchmarks/zoo_heatmaps.py --cache FOLDER --table

The folder keeps weights, exported files and torch's maps (some gigabytes), and a line of JSON for each file
that was compared. A file with a line is not compared again; pass another --results to begin anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from zoo.architectures import ARCHITECTURES
from zoo.lines import read_results
from zoo.running import run
from zoo.table import summary, table


def main() -> None:
    """Export and compare what is missing, or print the table of the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder of weights and exported files")
    parser.add_argument("--results", type=Path, help="lines of JSON to add to (default: results.jsonl there)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[each.key for each in ARCHITECTURES],
        metavar="NAME",
        help="architectures to compare (default: all)",
    )
    parser.add_argument("--export-only", action="store_true", help="export and compare nothing")
    parser.add_argument("--table", action="store_true", help="print the results as Markdown")
    options = parser.parse_args()
    results = options.results or options.cache / "results.jsonl"
    if options.table:
        lines = read_results(results)
        print(summary(lines), table(lines), sep="\n\n")
        return
    known = {each.key: each for each in ARCHITECTURES}
    chosen = [known[key] for key in options.only or known]
    run(chosen, options.cache, results, export_only=options.export_only)
    print(summary(read_results(results)))


if __name__ == "__main__":
    main()
