"""The colours of classes in masks: a fixed table, so that a class has the same colour in every image.

The first seven colours are those of Okabe and Ito, Color Universal Design (2008), without their black, which
is the colour of the background. The other 16 come from the bright, vibrant, muted and light schemes of Tol,
Colour Schemes, SRON/EPS/TN/09-002, issue 3.2 (2021), without their greys. They are sorted: each is the colour
that is farthest from all before it, and from black and white, for the kind of vision that confuses it most.

The least distance between any two colours, black and white included, is in CIE 1976 units, of which 2.3 are
just noticeable. Protanopia and deuteranopia are simulated by Viénot et al., Color Research and Application 24
(1999):

    colours         normal vision   protanopia   deuteranopia
    the first 13         18              17          17
    all 23                9               8           7.9

From the 24th on the table repeats in darker and lighter shades, see `_SHADES`. Their colours differ from each
other, and those of consecutive classes clearly, but readers who are colour-blind cannot tell all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spyglass_contract.masks.placement import VOID

Color = tuple[int, int, int]
"""Red, green and blue, each 0 to 255."""

BACKGROUND = "background"
BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)

TABLE: tuple[Color, ...] = (
    # Okabe and Ito. Orange and sky blue first: they stand out most from photographs and from each other.
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # reddish purple
    # Tol.
    (238, 221, 136),  # light yellow
    (51, 34, 136),  # muted indigo
    (136, 34, 85),  # muted wine
    (255, 170, 187),  # light pink
    (153, 221, 255),  # light cyan
    (17, 119, 51),  # muted green
    (238, 102, 119),  # bright red
    (204, 187, 68),  # bright yellow
    (68, 187, 153),  # light mint
    (170, 51, 119),  # bright purple
    (153, 153, 51),  # muted olive
    (204, 51, 17),  # vibrant red
    (34, 136, 51),  # bright green
    (68, 119, 170),  # bright blue
    (170, 68, 153),  # muted purple
    (187, 204, 51),  # light pear
)

# Each repetition of the table mixes its colours with this share of black or white.
_SHADES: tuple[tuple[Color, float], ...] = (
    (BLACK, 0.35),
    (WHITE, 0.4),
    (BLACK, 0.55),
    (WHITE, 0.65),
    (BLACK, 0.2),
    (WHITE, 0.2),
    (BLACK, 0.45),
    (WHITE, 0.5),
    (BLACK, 0.1),
    (WHITE, 0.3),
    (BLACK, 0.28),
)

# A mask is uint8, and VOID is not a class.
MAX_CLASSES = VOID


def class_colors(class_names: Sequence[str]) -> tuple[Color, ...]:
    """Return one colour for each class: black for "background", the others by their order.

    Raises ValueError for more than 255 classes.
    """
    if len(class_names) > MAX_CLASSES:
        raise ValueError(f"a mask can hold {MAX_CLASSES} classes, not {len(class_names)}")
    others = _colors()
    return tuple(BLACK if name == BACKGROUND else next(others) for name in class_names)


def hex_color(color: Color) -> str:
    """Return the colour as `#rrggbb`."""
    red, green, blue = color
    return f"#{red:02x}{green:02x}{blue:02x}"


def _colors() -> Iterator[Color]:
    """Yield the table, and its repetitions in other shades."""
    yield from TABLE
    for target, share in _SHADES:
        for color in TABLE:
            red, green, blue = (
                round(level + (end - level) * share) for level, end in zip(color, target, strict=True)
            )
            yield red, green, blue
