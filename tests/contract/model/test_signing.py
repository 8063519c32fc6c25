"""Keys and signatures: with Spyglass alone, and together with the program minisign."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from onnx_graphs import external_tensor, node, save_graph
from spyglass_contract.errors import InvalidInput, ModelError
from spyglass_contract.model.signing import new_key, read_key, sign_model, unlock
from spyglass_contract.model_files.rules import FileRules
from spyglass_contract.model_files.signature import TrustedKeys

MINISIGN = shutil.which("minisign")
needs_minisign = pytest.mark.skipif(MINISIGN is None, reason="the program minisign is not installed")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A secret key without a password; its public key is beside it."""
    path = tmp_path / "team.key"
    new_key(path, None)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with external data, a file in int8 and held-out images."""
    folder = tmp_path / "colors/1"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(bytes(8))
    (folder / "held_out.npz").write_bytes(b"images")
    save_graph(folder / "model.int8.onnx", [node("Relu")])
    return save_graph(folder / "model.onnx", [], initializers=[external_tensor("weights.bin")])


def rules(secret: Path) -> FileRules:
    return FileRules(keys=TrustedKeys([str(secret.with_suffix(".pub"))]))


def refusal(path: Path, secret: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        rules(secret).open(path)
    return caught.value


def minisign(*arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
    assert MINISIGN
    return subprocess.run(
        [MINISIGN, *map(str, arguments)], input=typed, capture_output=True, text=True, timeout=30
    )


def test_every_file_that_a_server_opens_is_signed(model: Path, secret: Path) -> None:
    signed = sign_model(model, read_key(secret))

    names = {"model.onnx", "model.int8.onnx", "weights.bin", "held_out.npz"}
    assert {path.name for path in signed} == names
    for name in ("model.onnx", "model.int8.onnx"):
        rules(secret).open(model.with_name(name))


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin"])
def test_a_file_without_a_signature_is_refused(model: Path, secret: Path, name: str) -> None:
    sign_model(model, read_key(secret))
    model.with_name(f"{name}.minisig").unlink()

    error = refusal(model, secret)

    assert error.reason == "SIGNATURE_MISSING"
    assert error.message.startswith(f"{name} has no signature {name}.minisig")


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin"])
def test_a_file_that_was_changed_is_refused(model: Path, secret: Path, name: str) -> None:
    sign_model(model, read_key(secret))
    path = model.with_name(name)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")

    assert refusal(model, secret).reason == "SIGNATURE_INVALID"


def test_a_file_signed_with_another_key_is_refused(model: Path, secret: Path, tmp_path: Path) -> None:
    new_key(tmp_path / "other.key", None)
    sign_model(model, read_key(tmp_path / "other.key"))

    error = refusal(model, secret)

    assert error.reason == "SIGNATURE_KEY_UNKNOWN"
    both = TrustedKeys([str(tmp_path / "team.pub"), str(tmp_path / "other.pub")])
    FileRules(keys=both).open(model)


def test_a_signature_that_claims_the_id_of_another_key_is_refused(model: Path, secret: Path) -> None:
    other = secret.with_name("other.key")
    new_key(other, None)
    sign_model(model, read_key(secret))
    good = model.with_name("model.onnx.minisig").read_text().splitlines()
    sign_model(model, read_key(other))
    bad = model.with_name("model.onnx.minisig").read_text().splitlines()
    # The algorithm and the id are the first 10 bytes, in 13 characters and a bit.
    forged = [bad[0], good[1][:12] + bad[1][12:], *bad[2:]]
    model.with_name("model.onnx.minisig").write_text("\n".join(forged) + "\n")

    assert refusal(model, secret).reason in ("SIGNATURE_INVALID", "SIGNATURE_KEY_UNKNOWN")


def test_a_changed_comment_makes_a_signature_invalid(model: Path, secret: Path) -> None:
    sign_model(model, read_key(secret))
    path = model.with_name("model.onnx.minisig")
    path.write_text(path.read_text().replace("file:model.onnx", "file:other.onnx"))

    assert refusal(model, secret).reason == "SIGNATURE_INVALID"


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 300, b"a\nb\nc\nd\n", bytes(100_000)])
def test_a_file_that_is_no_signature_is_refused(model: Path, secret: Path, content: bytes) -> None:
    model.with_name("model.onnx.minisig").write_bytes(content)

    assert refusal(model, secret).reason == "SIGNATURE_INVALID"


def test_a_file_that_a_server_would_refuse_is_not_signed(tmp_path: Path, secret: Path) -> None:
    path = save_graph(tmp_path / "model.onnx", [node("Evil", "evil")])

    with pytest.raises(ModelError, match="Evil"):
        sign_model(path, read_key(secret))
    assert not list(tmp_path.glob("*.minisig"))


def test_a_secret_key_is_readable_by_its_owner_only_and_is_never_overwritten(secret: Path) -> None:
    before = secret.read_bytes()

    assert secret.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidInput, match="exists"):
        new_key(secret, None)
    assert secret.read_bytes() == before


@pytest.mark.parametrize("text", ["missing.pub", "RWQ", "", "RW" + "A" * 54])
def test_a_text_that_is_no_public_key_is_refused(text: str) -> None:
    try:
        keys = TrustedKeys([text])
    except InvalidInput as error:
        assert "public key" in error.message
        assert error.field == "require_signature"
    else:
        # The text has the form of a key.
        assert text.startswith("RWA")
        with pytest.raises(ModelError):
            keys.verify(Path("model.onnx"), io.BytesIO())


def test_a_secret_key_is_no_public_key_and_the_other_way_round(secret: Path) -> None:
    with pytest.raises(InvalidInput):
        TrustedKeys([str(secret)])
    with pytest.raises(InvalidInput, match="not a secret key"):
        read_key(secret.with_suffix(".pub"))


def test_a_password_protects_a_key(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "locked.key"
    new_key(path, "correct horse")

    key = read_key(path)

    assert key.is_encrypted()
    with pytest.raises(InvalidInput, match="wrong"):
        unlock(key, "battery staple")
    unlock(key, "correct horse")
    sign_model(model, key)
    rules(path).open(model)


@needs_minisign
def test_the_program_minisign_verifies_our_signatures(model: Path, secret: Path) -> None:
    sign_model(model, read_key(secret))

    verified = minisign("-V", "-p", secret.with_suffix(".pub"), "-m", model)

    assert verified.returncode == 0, verified.stderr
    assert "file:model.onnx" in verified.stdout


@needs_minisign
def test_we_verify_signatures_of_the_program_minisign(model: Path, tmp_path: Path) -> None:
    secret, public = tmp_path / "theirs.key", tmp_path / "theirs.pub"
    made = minisign("-G", "-W", "-s", secret, "-p", public)
    assert made.returncode == 0, made.stderr
    for name in ("model.onnx", "weights.bin"):
        signed = minisign("-S", "-s", secret, "-m", model.with_name(name))
        assert signed.returncode == 0, signed.stderr

    rules(secret).open(model)
    # Their key signs here, too, and its text is a key as its file is.
    sign_model(model, read_key(secret))
    FileRules(keys=TrustedKeys([public.read_text().splitlines()[1]])).open(model)


@needs_minisign
def test_the_old_format_without_a_hash_is_refused(model: Path, tmp_path: Path) -> None:
    secret, public = tmp_path / "theirs.key", tmp_path / "theirs.pub"
    minisign("-G", "-W", "-s", secret, "-p", public)
    assert minisign("-S", "-l", "-s", secret, "-m", model).returncode == 0

    error = refusal(model, secret)

    assert error.reason == "SIGNATURE_INVALID"
    assert "old format" in error.message
