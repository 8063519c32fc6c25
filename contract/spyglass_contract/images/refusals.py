"""The errors for image files, so that every format words and codes them alike."""

from __future__ import annotations

from spyglass_contract.errors import ImageError, LimitExceeded


def broken_header(title: str) -> ImageError:
    """Return the error for a header that cannot be read, or that ends too early."""
    return ImageError(f"the header of the {title} is broken or cut off", field="image")


def corrupt(title: str) -> ImageError:
    """Return the error for pixels that cannot be decoded."""
    return ImageError(f"the {title} is corrupt", field="image")


def cut_off(title: str) -> ImageError:
    """Return the error for a file that ends before its last pixel."""
    return ImageError(f"the {title} is cut off", reason="IMAGE_TRUNCATED", field="image")


def unsupported_kind(title: str, kind: str) -> ImageError:
    """Return the error for a sound file of a kind that is not read: "the file is a TIFF" and `kind`."""
    return ImageError(
        f"the file is a {title} {kind}: this kind is not read; convert it to 8 bits a sample, grey or RGB",
        reason="IMAGE_KIND_UNSUPPORTED",
        field="image",
    )


def unsupported_color(title: str, what: str) -> ImageError:
    """Return the error for colours or samples without a rule; `what` completes "the file is a TIFF of …"."""
    return ImageError(
        f"the file is a {title} of {what}, for which there is no rule; convert the image to grey or RGB with "
        "8 or 16 bits a sample",
        reason="IMAGE_COLOR_UNSUPPORTED",
        field="image",
    )


def too_many(title: str, reason: str, limit: int, parts: str, advice: str) -> LimitExceeded:
    """Return the error for a file with more than `limit` of its `parts`."""
    return LimitExceeded(
        f"the {title} has more than {limit:,} {parts}; {advice}", reason=reason, field="image"
    )


def too_slow(title: str, why: str) -> LimitExceeded:
    """Return the error for a file that would take too much processor time; `why` names its limit."""
    return LimitExceeded(f"the {title} {why}", reason="IMAGE_TOO_SLOW", field="image")
