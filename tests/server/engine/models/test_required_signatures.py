"""A server that requires signatures loads no file without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import InvalidInput, ModelError
from spyglass_contract.model.signing import new_key, read_key, sign_model
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.precision import open_network
from spyglass_server.engine.models.resources import Resources
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings, load_settings

MakeModel = Callable[..., Path]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "team.key"
    new_key(path, None)
    return path


def settings(secret: Path, models: Path) -> ServerSettings:
    flags = [f"--require-signature={secret.with_suffix('.pub')}", f"--models={models}", "--port=0"]
    return load_settings([*flags, "--profile-seconds=0"])


def test_a_server_serves_a_signed_model_and_starts_with_no_other(make_model: MakeModel, secret: Path) -> None:
    path = make_model()
    models = path.parents[2]
    server = Server(settings(secret, models))
    try:
        with pytest.raises(ModelError, match=r"colors/1: model\.onnx has no signature") as caught:
            server.start()
    finally:
        server.stop(grace=0)
    assert caught.value.reason == "SIGNATURE_MISSING"

    sign_model(path, read_key(secret))
    server = Server(settings(secret, models))
    try:
        server.start()
    finally:
        server.stop(grace=0)


def test_the_card_in_a_signed_file_must_fit_its_place(
    make_model: MakeModel, make_card: Callable[..., ModelCard], secret: Path
) -> None:
    path = make_model(make_card())
    sign_model(path, read_key(secret))
    models = path.parents[2]
    # An old version, signed with the same key, in the place of a newer one.
    (models / "colors/1").rename(models / "colors/2")

    server = Server(settings(secret, models))
    try:
        with pytest.raises(ModelError, match="the card in the file is of colors/1"):
            server.start()
    finally:
        server.stop(grace=0)


def test_the_files_of_int8_and_of_held_out_images_need_signatures(
    int8_model: Callable[..., Path], secret: Path
) -> None:
    quantised_model = int8_model()
    rules = settings(secret, quantised_model.parents[2]).file_rules
    resources = Resources(precision="int8", rules=rules)
    sign_model(quantised_model, read_key(secret))
    assert open_network(quantised_model, resources).precision == "int8"

    for name in ("model.int8.onnx", "held_out.npz"):
        signature = quantised_model.with_name(f"{name}.minisig")
        content = signature.read_bytes()
        signature.unlink()
        with pytest.raises(ModelError) as caught:
            open_network(quantised_model, resources)
        assert caught.value.reason == "SIGNATURE_MISSING"
        assert name in caught.value.message
        signature.write_bytes(content)
    # The model itself needs neither in its own precision.
    Model.load(quantised_model, replace(resources, precision="fp32"))


def test_keys_come_as_several_flags_and_an_invalid_one_ends_the_start(secret: Path, tmp_path: Path) -> None:
    key = secret.with_suffix(".pub").read_text().splitlines()[1]
    loaded = load_settings(
        [f"--require-signature={key}", f"--require-signature={secret.with_suffix('.pub')}"]
    )
    assert loaded.file_rules.keys

    with pytest.raises(InvalidInput, match="a public key must be a file of minisign"):
        Server(load_settings(["--require-signature=nokey", "--port=0"]))
