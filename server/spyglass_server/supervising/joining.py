"""One view of the metrics of several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from spyglass_server.supervising.families import Family

WORKER = "worker"
"""The label of what is not joined: the number of the worker."""

_GAUGES: Mapping[str, Callable[[Iterable[float]], float]] = {
    "spyglass_concurrency": sum,
    "spyglass_lost_workers": sum,
    "spyglass_inside_requests": sum,
    "spyglass_queue_requests": sum,
    "spyglass_queue_work_seconds": sum,
    "spyglass_held_bytes": sum,
    "spyglass_held_bytes_limit": sum,
    "spyglass_receiving_requests": sum,
    "spyglass_open_streams": sum,
    "spyglass_response_cache_responses": sum,
    "spyglass_response_cache_bytes": sum,
    "spyglass_response_cache_limit_bytes": sum,
    # The whole is as stalled as its worst part, and its first certificate to end counts.
    "spyglass_stalled_seconds": max,
    "spyglass_certificate_left_seconds": min,
    # 1 if any worker has the version in this state; labels are the same in all.
    "spyglass_model_state": max,
    "spyglass_model_label": max,
    "spyglass_model_max_batch": max,
    "spyglass_model_load_seconds": max,
    "python_info": max,
}
"""How gauges are joined; all others are of one worker each."""

_OF_PROCESSES = "process_"


def is_total(family: Family) -> bool:
    """Return whether the counts of workers that have ended are a part of a metric."""
    return family.kind in ("counter", "histogram") and not family.name.startswith(_OF_PROCESSES)


def totals(families: Iterable[Family]) -> list[Family]:
    """Return the metrics that count on after the end of a worker."""
    return [family for family in families if is_total(family)]


def add_totals(before: Mapping[str, Family], families: Iterable[Family]) -> dict[str, Family]:
    """Return the sums of totals and further ones, by their names."""
    found = dict(before)
    for family in totals(families):
        known = found.get(family.name)
        found[family.name] = _merged([known, family], sum) if known else family
    return found


def join(past: Mapping[str, Family], readings: Mapping[str, Sequence[Family]]) -> Iterator[Family]:
    """Yield the metrics of all workers as one.

    `past` are the totals of workers that have ended, by the names of families, `readings` the metrics of the
    others by what the label `worker` says. Counters and histograms are
    summed, and each gauge by its rule; what has none gets the label `worker`.
    """
    parts: dict[str, list[tuple[str, Family]]] = {name: [("", family)] for name, family in past.items()}
    for worker, families in readings.items():
        for family in families:
            parts.setdefault(family.name, []).append((worker, family))
    for found in parts.values():
        family = found[0][1]
        rule = sum if is_total(family) else max if family.kind == "info" else _GAUGES.get(family.name)
        if rule:
            yield _merged([each for _, each in found], rule)
        else:
            yield _merged([each.labelled(WORKER, worker) for worker, each in found], max)


def _merged(families: Sequence[Family], rule: Callable[[Iterable[float]], float]) -> Family:
    """Return one family; `rule` joins the values of each name and labels."""
    values: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}
    for family in families:
        for key, value in family.samples.items():
            values.setdefault(key, []).append(value)
    first = families[0]
    return Family(first.name, first.kind, first.text, {key: rule(found) for key, found in values.items()})
