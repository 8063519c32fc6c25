"""Keys of minisign, and signatures with them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_contract.errors import InvalidInput, ModelError
from spyglass_contract.files import write_whole
from spyglass_contract.model.held_out import FILE_NAME as HELD_OUT_FILE
from spyglass_contract.model.precisions import INT8_FILE
from spyglass_contract.model_files.limits import FileLimits
from spyglass_contract.model_files.model_file import check_file, open_regular
from spyglass_contract.model_files.signature import SUFFIX

if TYPE_CHECKING:
    import minisign

_MODEL_FILE = "model.onnx"


def new_key(path: Path, password: str | None) -> Path:
    """Write a secret key to `path`, readable by its owner only, and the public key beside it.

    A password encrypts the secret key; None: it is not encrypted. Returns the path of the public key, `path`
    with the suffix .pub. Raises InvalidInput if one of the files exists.
    """
    import minisign

    public = path.with_suffix(".pub")
    if public == path:
        raise InvalidInput(f"{path} is the name of a public key: a secret key needs another suffix")
    for file in (path, public):
        if file.exists():
            raise InvalidInput(f"{file} exists; whoever overwrites a key can sign nothing with it any more")
    pair = minisign.KeyPair.generate()
    public_text = bytes(pair.public_key) + b"\n"
    with pair.secret_key as secret:
        if password is not None:
            secret.encrypt(password)
        _write_secret(path, bytes(secret) + b"\n")
    write_whole(public, public_text)
    return public


def read_key(path: Path) -> minisign.SecretKey:
    """Read a secret key of `new_key` or of `minisign -G`; it may be encrypted. Raises InvalidInput."""
    import minisign

    try:
        with open_regular(path) as file:
            return minisign.SecretKey.from_bytes(file.read(16 * 1024))
    except ModelError as error:
        raise InvalidInput(error.message) from error
    except ValueError as error:
        raise InvalidInput(
            f"{path} is not a secret key of minisign: {error}; `spyglass sign --new-key FILE` makes one"
        ) from error


def unlock(key: minisign.SecretKey, password: str) -> None:
    """Decrypt a key. Raises InvalidInput if the password is wrong."""
    import minisign

    try:
        key.decrypt(password)
    except minisign.Error as error:
        raise InvalidInput("the password of the secret key is wrong") from error


def sign_model(path: Path, key: minisign.SecretKey, limits: FileLimits | None = None) -> list[Path]:
    """Sign every file that a server opens for the model file `path`; return them.

    They are the file, the files of its tensors, and for `model.onnx` also `model.int8.onnx` and
    `held_out.npz` beside it. Each FILE gets FILE.minisig. Raises ModelError, before anything is signed, if a
    server would refuse a file.
    """
    beside = [path.with_name(INT8_FILE), path.with_name(HELD_OUT_FILE)] if path.name == _MODEL_FILE else []
    files: list[Path] = []
    for file in [path, *(file for file in beside if file.exists())]:
        files.append(file)
        if file.suffix == ".onnx":
            files += check_file(file, limits).external
    files = list(dict.fromkeys(files))
    for file in files:
        _sign(file, key)
    return files


def _sign(path: Path, key: minisign.SecretKey) -> None:
    # The comment is for people, as minisign writes it.
    name = path.name.encode("ascii", "backslashreplace").decode("ascii")
    comment = f"timestamp:{int(time.time())}\tfile:{name}\thashed"
    with open_regular(path) as file:
        signature = key.sign(file, prehash=True, trusted_comment=comment)
    write_whole(path.with_name(path.name + SUFFIX), bytes(signature) + b"\n")


def _write_secret(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
