"""Forms with files, as browsers and curl send them."""

from __future__ import annotations

BOUNDARY = "limit"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, value: bytes, file: str = "") -> bytes:
    of_file = f'; filename="{file}"\r\ncontent-type: image/png' if file else ""
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"{of_file}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
