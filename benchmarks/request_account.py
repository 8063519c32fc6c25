"""Print what each step of a Classify request costs the server: its processor time, step by step.

Each step runs alone in this process, many times, on one thread. The whole is measured on a real server under
load, and so is a grpcio server whose handler does nothing. What the steps do not explain is transport: gRPC,
and the hand-over between threads.

    python benchmarks/request_account.py [--seconds 3] [--concurrency 8]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import numpy as np
import psutil

from comparing.rounds import Load, measure
from comparing.variants import Served, classify_payload
from measuring.client_processes import ClientProcesses, client_processes
from measuring.images import photo, tiny
from measuring.process_tree import ProcessTree
from measuring.targets import CLASSIFY, GrpcTarget
from measuring.window import Window
from serving_process import free_port, serving
from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.vision_pb2_grpc import VisionServicer, add_VisionServicer_to_server
from spyglass_contract.images.header import Limits
from spyglass_server.engine.call import Call
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.lifecycle.loading import load_model
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.repository import Repository
from spyglass_server.engine.scheduling.admission import Bounds
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.engine.work import Inferred
from spyglass_server.handlers import Handlers
from spyglass_server.interceptors.parsing import Parser

START_SECONDS = 60
_CLIENT_PROCESSES, _WARM_UP_SECONDS = 2, 2.0


@dataclass(frozen=True)
class Step:
    """One step, and a function that does it once."""

    name: str
    once: Callable[[], object]


class Empty(VisionServicer):
    """Classifies nothing: what is left is the cost of grpcio."""

    def Classify(self, request: ClassifyRequest, context: grpc.ServicerContext) -> ClassifyResponse:
        """Return an empty response."""
        return ClassifyResponse()


def main() -> int:
    """Print an account of a photograph and of a tiny image."""
    options = _parse()
    if options.empty_server:
        _serve_empty(options.empty_server)
        return 0
    loads = [
        Load("photograph of 500×375", "defects", photo(500, 375)),
        Load("PNG of 28×28", "mnist-convnet", tiny()),
    ]
    with (
        _empty_server() as empty,
        serving("--models", str(bundled_models())) as spyglass,
        client_processes(_CLIENT_PROCESSES) as clients,
    ):
        for load in loads:
            _account(load, empty, spyglass, clients, options)
    return 0


def _account(
    load: Load,
    empty: tuple[str, psutil.Process],
    spyglass: tuple[str, psutil.Process],
    clients: ClientProcesses,
    options: argparse.Namespace,
) -> None:
    whole = _microseconds_of_a_call(spyglass, load, clients, options)
    transport = _microseconds_of_a_call(empty, load, clients, options)
    costs = [(step.name, _microseconds(step.once)) for step in steps(load)]
    print(f"{load.name}, {load.model}: {whole:,.0f} µs of processor time")
    for name, cost in costs:
        print(f"  {name:40} {cost:9,.1f} µs {cost / whole:6.1%}")
    rest = whole - sum(cost for _, cost in costs)
    print(f"  {'the rest: gRPC, hand-over, contention':40} {rest:9,.1f} µs {rest / whole:6.1%}")
    print(f"  (a grpcio handler that does nothing costs {transport:,.0f} µs)")


def _microseconds_of_a_call(
    server: tuple[str, psutil.Process], load: Load, clients: ClientProcesses, options: argparse.Namespace
) -> float:
    """Return the server's processor time for each call."""
    address, process = server
    target = GrpcTarget(address, CLASSIFY, classify_payload(load.model, load.image))
    served = Served(ProcessTree(process.pid), target, lambda body: {})
    window = Window.soon(_WARM_UP_SECONDS, options.seconds)
    return measure(served, clients, options.concurrency, window).cpu_ms * 1000


def steps(load: Load) -> list[Step]:
    """Return the steps of one request, each ready to run alone."""
    (path,) = (bundled_models() / load.model).glob("*/model.onnx")
    repository = Repository()
    model = load_model(path, lambda path: Model.load(path, Resources(device="cpu")))
    repository.add(model)
    handlers = Handlers(Engine(repository, Workers(1, Bounds(1 << 20)), Limits()))
    request = ClassifyRequest()
    request.image.encoded, request.model.name = load.image, load.model
    data, parser = request.SerializeToString(), Parser(ClassifyRequest.FromString)
    work = handlers.classify_work(request, Call())
    prepared = work.prepare()
    pixels = prepared.pixels[np.newaxis]
    inferred = Inferred(model.network.run(pixels)[0], prepared, 1.0, 1.0, 1.0, 1)
    response = work.respond(inferred)
    assert isinstance(response, ClassifyResponse)
    workers = Workers(1, Bounds(1 << 20))

    def through_the_queue() -> None:
        # A work that fails in its first step: what is left is the queue, the worker and the end of the job.
        workers.submit(replaced, Call(), lambda response, error: None)

    def nothing() -> object:
        raise ValueError

    replaced = type(work)(work.model, work.run, nothing, work.respond, work.cost_key)  # type: ignore[arg-type]
    return [
        Step("check the size, and parse", lambda: (parser.is_small(data), parser(data, small=True))),
        Step("find the model, and check the request", lambda: handlers.classify_work(request, Call())),
        Step("queue, worker, end", through_the_queue),
        Step("decode and resize", work.prepare),
        Step("run the network", lambda: model.network.run(pixels)),
        Step("make the response", lambda: work.respond(inferred)),
        Step("serialise the response", response.SerializeToString),
    ]


def _microseconds(once: Callable[[], object], seconds: float = 0.3, repeats: int = 3) -> float:
    """Return the least processor time of one call, in microseconds."""
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds / 4:
        once()
        count += 1
    count = max(1, count * 4)
    times = []
    for _ in range(repeats):
        before = time.process_time()
        for _ in range(count):
            once()
        times.append((time.process_time() - before) / count)
    return min(times) * 1e6


@contextmanager
def _empty_server() -> Iterator[tuple[str, psutil.Process]]:
    port = free_port()
    with subprocess.Popen([sys.executable, __file__, "--empty-server", str(port)]) as process:
        try:
            with grpc.insecure_channel(f"localhost:{port}") as channel:
                grpc.channel_ready_future(channel).result(START_SECONDS)
            yield f"localhost:{port}", psutil.Process(process.pid)
        finally:
            process.terminate()


def _serve_empty(port: int) -> None:
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    add_VisionServicer_to_server(Empty(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3, help="seconds of each load (default: 3)")
    parser.add_argument("--concurrency", type=int, default=8, help="requests at a time (default: 8)")
    parser.add_argument("--empty-server", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
