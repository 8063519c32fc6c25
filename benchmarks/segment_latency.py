"""Measure how the exporter's transposed convolutions change the time of a whole mask.

The steps are decoding, inference, upsampling and encoding, from a file's bytes to a palette PNG, one after
the other on one thread. The network is that of a training run, with its own weights, in the form that tf2onnx
writes and in the form that the exporter writes. Each round runs both forms in turn. The figures are processor
milliseconds, minimum and median, and their ratios to the form of tf2onnx.

    python benchmarks/segment_latency.py RUN [--image FILE] [--rounds 15]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from segment import EXAMPLE, SIZES, photo
from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.images.geometry import input_box
from spyglass_contract.images.pixels import prepare
from spyglass_contract.masks.colors import class_colors
from spyglass_contract.masks.palette_png import encode_mask
from spyglass_contract.masks.upsampling import mask_of_image
from spyglass_contract.model.run_folder import RunFolder
from spyglass_contract.onnx_runtime import onnxruntime
from transposed import forms_of_network, one_thread_session, print_head, print_times

COLORS = class_colors(("foreground", "background", "contour"))


def main() -> None:
    """Print a line for each form and image size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a training run of pet-segmentation")
    parser.add_argument("--image", type=Path, default=EXAMPLE, help="image to resize (default: coffee.jpg)")
    parser.add_argument("--rounds", type=int, default=15, help="number of rounds (default: 15)")
    options = parser.parse_args()
    import keras

    from spyglass_export.converting.full_precision import in_float32

    folder = RunFolder(options.run)
    spec = folder.read_record().input
    network = in_float32(keras.models.load_model(folder.model, compile=False))
    forms = forms_of_network(network, spec)
    sessions = {form: one_thread_session(model) for form, model in forms.items()}
    print_head()
    for width, height in SIZES:
        data = photo(options.image, width, height)
        print_times(f"{width}×{height}", measure(sessions, data, spec, options.rounds))


def measure(
    sessions: dict[str, onnxruntime.InferenceSession], data: bytes, spec: InputSpec, rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of each mask, after two rounds to warm up. Each round begins with another form."""
    spent: dict[str, list[float]] = {form: [] for form in sessions}
    turns = list(sessions.items())
    for number in range(rounds + 2):
        turns.append(turns.pop(0))
        for form, session in turns:
            started = time.thread_time()
            segmented(session, data, spec)
            if number >= 2:
                spent[form].append(time.thread_time() - started)
    return spent


def segmented(session: onnxruntime.InferenceSession, data: bytes, spec: InputSpec) -> bytes:
    """Return the mask of an image as a palette PNG of the image's size, by the steps of the server."""
    prepared = prepare(data, spec)
    (output,) = session.run(None, {spec.tensor: prepared.pixels[np.newaxis]})
    box = input_box(prepared.placement, spec)
    return encode_mask(mask_of_image(output[0], box, prepared.width, prepared.height).mask, COLORS)


if __name__ == "__main__":
    main()
