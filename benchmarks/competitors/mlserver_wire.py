"""Messages of the V2 protocol, for clients that do not have its generated code.

python mlserver_wire.py request < IMAGE > ModelInferRequest
python mlserver_wire.py response < ModelInferResponse > JSON
"""

from __future__ import annotations

import json
import sys

import numpy as np
from mlserver.grpc.converters import ModelInferResponseConverter
from mlserver.grpc.dataplane_pb2 import ModelInferRequest, ModelInferResponse


def request(image: bytes) -> bytes:
    """Return the request to classify an image."""
    message = ModelInferRequest(model_name="model")
    tensor = message.inputs.add(name="image", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append(image)
    return message.SerializeToString()


def response(body: bytes) -> dict[str, object]:
    """Return the classes of a response in the form of the other servers."""
    outputs = ModelInferResponseConverter.to_types(ModelInferResponse.FromString(body)).outputs
    values = {output.name: np.ravel(np.array(list(output.data), object)) for output in outputs}
    names = [each.decode() if isinstance(each, bytes) else str(each) for each in values["name"]]
    rows = zip(values["index"], names, values["score"], strict=True)
    return {"classes": [{"index": int(i), "name": name, "score": float(score)} for i, name, score in rows]}


if __name__ == "__main__":
    data = sys.stdin.buffer.read()
    if sys.argv[1] == "request":
        sys.stdout.buffer.write(request(data))
    else:
        json.dump(response(data), sys.stdout)
