"""The table of `spyglass bench`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.filesize import decimal

from spyglass_cli.load.recording import ANSWERED
from spyglass_cli.load.results import PERCENTILES, Measured
from spyglass_cli.output.tables import Column, add_row, make_table, print_table

# Above this, the clients and not the server may be what is slow.
_LATE_MS = 10.0


def print_results(results: Sequence[Measured], output: TextIO) -> None:
    """Print a row for each load."""
    percentiles = [f"p{percent:g}" if percent < 100 else "max" for percent in PERCENTILES]
    headings = ["results/s", *percentiles, "failed", "server CPU", "sent/s", "received/s", "bytes each"]
    table = make_table(
        [Column("load"), *(Column(heading, "right") for heading in headings), Column("errors")]
    )
    for each in results:
        times = [_milliseconds(each.milliseconds(percent)) for percent in PERCENTILES]
        cells = [
            str(each.load),
            f"{each.rate:.1f}",
            *times,
            f"{each.failed_share:.1%}",
            _milliseconds(each.cpu_ms),
            _per_second(each.sent_per_second),
            _per_second(each.received_per_second),
            _sizes(each),
        ]
        add_row(table, [*cells, _errors(each)])
    print_table(table, output)


def late_notice(results: Sequence[Measured]) -> str:
    """Return a warning if the clients sent requests late, or ""."""
    late = max((each.late_ms or 0 for each in results), default=0)
    if late < _LATE_MS:
        return ""
    return (
        f"the clients sent 1 % of the requests more than {late:.0f} ms late: the latencies include that; "
        "use more --processes, or another machine for the clients"
    )


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms" if value < 100 else f"{value:.0f} ms"


def _per_second(value: float | None) -> str:
    return "-" if value is None else decimal(round(value))


def _sizes(measured: Measured) -> str:
    """Return the mean size of a request and of a response."""
    sizes = (measured.record.sent.mean, measured.record.received.mean)
    return " + ".join("-" if size is None else f"{size:,.0f}" for size in sizes)


def _errors(measured: Measured) -> str:
    counts = [(code, count) for code, count in measured.record.codes.most_common() if code != ANSWERED]
    return ", ".join(f"{code} {count:,}" for code, count in counts)
