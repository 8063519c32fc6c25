"""The view of `spyglass top`: tables of what a server does now."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.text import Text

from spyglass_cli.output.tables import Column, add_row, make_table
from spyglass_cli.watching.changes import Changes

_REQUESTS = "spyglass_requests_total"
_DURATION = "spyglass_request_duration_seconds"
_STAGE = "spyglass_stage_duration_seconds"
_CACHE = "spyglass_response_cache"
_STAGES = ("queue", "decode", "inference", "encode")


def screen(changes: Changes, address: str, problem: str = "") -> RenderableType:
    """Return the whole view; `problem` is why the metrics are not new."""
    parts: list[RenderableType] = [_title(changes, address)]
    if problem:
        parts.append(Text(f"not up to date: {problem}", style="bold red"))
    parts += [_now(changes), _latencies(changes), _models(changes)]
    return Group(*parts)


def _title(changes: Changes, address: str) -> Text:
    state = "serving" if changes.now.value("spyglass_serving") else "not serving"
    text = Text(f"{address}  ")
    text.append(state, style="green" if state == "serving" else "bold red")
    text.append(f"  the last {changes.seconds:.1f} s")
    if changes.restarted:
        text.append("  the server was restarted: all since its start", style="yellow")
    return text


def _now(changes: Changes) -> RenderableType:
    table = make_table([Column("now"), Column("")], headings=False)
    for name, value in _facts(changes):
        add_row(table, [name, value])
    return table


def _facts(changes: Changes) -> Iterator[tuple[str, str]]:
    now, seconds = changes.now, changes.seconds
    yield "requests", f"{changes.total(_REQUESTS) / seconds:.1f}/s"
    codes = {code: count for code, count in changes.by("code", _REQUESTS).items() if code != "OK"}
    yield "errors", _rates(codes, seconds)
    yield "refused", _rates(changes.by("reason", "spyglass_refused_total"), seconds)
    yield "dropped", _rates(changes.by("reason", "spyglass_dropped_total"), seconds)
    yield (
        "queue",
        f"{now.value('spyglass_queue_requests'):.0f} waiting, "
        f"{now.value('spyglass_queue_work_seconds'):.2f} s of work, "
        f"{now.value('spyglass_inside_requests'):.0f} inside",
    )
    count = changes.total("spyglass_batch_size_count")
    batch = changes.quantile(0.99, "spyglass_batch_size")
    mean = changes.total("spyglass_batch_size_sum") / count if count else 0.0
    yield "batch", f"{mean:.1f} images on average, p99 {batch:.0f}" if batch else "-"
    if now.value(f"{_CACHE}_limit_bytes"):
        yield "cache", _cache(changes)
    yield (
        "callers",
        f"{now.value('spyglass_open_streams'):.0f} streams, "
        f"{now.value('spyglass_receiving_requests'):.0f} requests arriving, "
        f"{decimal(int(now.value('spyglass_held_bytes')))} of "
        f"{decimal(int(now.value('spyglass_held_bytes_limit')))} held",
    )
    cores = changes.total("process_cpu_seconds_total") / seconds
    memory = decimal(int(now.value("process_resident_memory_bytes")))
    yield (
        "process",
        f"{memory} of memory, {cores:.2f} cores, {now.value('spyglass_concurrency'):.0f} runs at a time",
    )


def _cache(changes: Changes) -> str:
    now = changes.now
    hits, misses = (changes.total(f"{_CACHE}_{name}_total") for name in ("hits", "misses"))
    rate = f"{hits / (hits + misses):.0%} hits" if hits + misses else "no requests"
    held, limit = (decimal(int(now.value(f"{_CACHE}_{name}"))) for name in ("bytes", "limit_bytes"))
    evictions = changes.total(f"{_CACHE}_evictions_total") / changes.seconds
    return f"{rate}, {held} of {limit} held, {evictions:.1f} evictions/s"


def _rates(counts: dict[str, float], seconds: float) -> str:
    return ", ".join(f"{name} {count / seconds:.1f}/s" for name, count in counts.items()) or "none"


def _latencies(changes: Changes) -> RenderableType:
    table = make_table([Column("stage"), Column("p50", "right"), Column("p99", "right")])
    for stage in _STAGES:
        cells = [_time(changes.quantile(part, _STAGE, stage=stage)) for part in (0.5, 0.99)]
        add_row(table, [stage, *cells])
    add_row(table, ["request", *(_time(changes.quantile(part, _DURATION)) for part in (0.5, 0.99))])
    return table


def _models(changes: Changes) -> RenderableType:
    right = [Column(heading, "right") for heading in ("rate", "p50", "p99")]
    table = make_table([Column("model"), *right, Column("provider"), Column("precision")])
    for labels, _ in sorted(changes.now.of("spyglass_model_info"), key=lambda each: _name(each[0])):
        only = {"model": labels["model"], "version": labels["version"]}
        times = [_time(changes.quantile(part, _DURATION, **only)) for part in (0.5, 0.99)]
        rate = f"{changes.total(_REQUESTS, **only) / changes.seconds:.1f}/s"
        provider = labels.get("provider", "").removesuffix("ExecutionProvider")
        add_row(table, [_name(labels), rate, *times, provider, labels.get("precision", "")])
    return table


def _name(labels: dict[str, str]) -> str:
    return f"{labels['model']}/{labels['version']}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if math.isinf(seconds):
        return "> 30 s"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.2f} ms"
