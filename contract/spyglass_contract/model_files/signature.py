"""Detached signatures in the format of minisign: Ed25519 over the BLAKE2b hash of a file.

The format is at https://jedisct1.github.io/minisign/. The signature of FILE is the file FILE.minisig.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from spyglass_contract.errors import InvalidInput, ModelError
from spyglass_contract.model_files.model_file import read_regular

if TYPE_CHECKING:
    import minisign

SUFFIX = ".minisig"
# A trusted comment has at most 8 KiB.
_MOST_BYTES = 16 * 1024
# The algorithm and the id of the key, at the start of a key and of a signature.
_ALGORITHM, _KEY_ID = slice(0, 2), slice(2, 10)
_PREHASHED = b"ED"


class TrustedKeys:
    """Public keys, one of which must have signed a file."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Each key is the path of a file by `spyglass sign --new-key` or `minisign -G`, or its second line.

        Raises InvalidInput.
        """
        self._keys = {_key_id(bytes(key)): key for key in map(_public_key, keys)}

    def verify(self, path: Path, content: BinaryIO) -> None:
        """Raise ModelError unless PATH.minisig is a signature of `content` by one of the keys.

        Its reasons are SIGNATURE_MISSING, SIGNATURE_INVALID and SIGNATURE_KEY_UNKNOWN.
        """
        import minisign

        signature = _read_signature(path)
        key_id = _key_id(bytes(signature))
        key = self._keys.get(key_id)
        if key is None:
            raise ModelError(
                f"{path.name} is signed with the key {_shown(key_id)}, and the server trusts "
                f"{', '.join(map(_shown, self._keys))}: sign it with one of these, or add its key to "
                "--require-signature",
                reason="SIGNATURE_KEY_UNKNOWN",
            )
        try:
            key.verify(content, signature)
        except minisign.Error as error:
            raise ModelError(
                f"{path.name} differs from what was signed, or {path.name}{SUFFIX} is damaged: copy both "
                "again, or sign the file again with `spyglass sign`",
                reason="SIGNATURE_INVALID",
            ) from error


def _read_signature(path: Path) -> minisign.Signature:
    import minisign

    file = path.with_name(path.name + SUFFIX)
    if not file.exists():
        raise ModelError(
            f"{path.name} has no signature {file.name}, and the server requires one: make it with "
            "`spyglass sign`",
            reason="SIGNATURE_MISSING",
        )
    try:
        signature = minisign.Signature.from_bytes(read_regular(file, _MOST_BYTES))
    except (minisign.Error, ModelError, ValueError) as error:
        raise ModelError(
            f"{file.name} is not a signature of minisign: {error}", reason="SIGNATURE_INVALID"
        ) from error
    if not signature.is_prehashed():
        raise ModelError(
            f"{file.name} is in minisign's old format, which signs no hash: sign the file again",
            reason="SIGNATURE_INVALID",
        )
    return signature


def _public_key(text: str) -> minisign.PublicKey:
    """Return the key in a text, or in the file that it names. Raises InvalidInput."""
    import minisign

    try:
        return minisign.PublicKey.from_base64(text.strip())
    except ValueError:
        pass
    path = Path(text).expanduser()
    try:
        return minisign.PublicKey.from_bytes(read_regular(path, _MOST_BYTES))
    except ModelError as error:
        raise _invalid_key(text, error.message) from error
    except ValueError as error:
        raise _invalid_key(text, str(error)) from error


def _invalid_key(text: str, problem: str) -> InvalidInput:
    return InvalidInput(
        f"a public key must be a file of minisign or its second line, which begins with RW; {text[:100]!r} "
        f"is neither: {problem}",
        field="require_signature",
    )


def _key_id(text: bytes) -> bytes:
    """Return the id of the key in the text of a key or of a signature."""
    return base64.b64decode(text.splitlines()[1])[_KEY_ID]


def _shown(key_id: bytes) -> str:
    """Return an id as minisign shows it: the bytes in the other order."""
    return key_id[::-1].hex().upper()
