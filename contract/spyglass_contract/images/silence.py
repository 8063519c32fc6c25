"""No lines of libtiff on standard error.

libtiff writes its warnings and errors to file descriptor 2 itself, up to several a row of a damaged fax, and
Pillow offers no switch. Both of its handlers are set to none, once a process: then it formats and writes
nothing, which no thread can race with. A handler in Python would have to take the interpreter's lock for each
line, and file descriptor 2 cannot be redirected for one thread. What is lost is only text: a failed decode
raises as before.
"""

from __future__ import annotations

import ctypes
import functools

from PIL import _imaging


@functools.cache
def silence_libtiff() -> bool:
    """Set libtiff's handlers of the process to none; return whether the library was found.

    It is not found where Pillow's libtiff is linked into Pillow with its symbols hidden; it then writes its
    lines.
    """
    try:
        # Looked up in Pillow's own module and the libraries that it has loaded, so it is the same libtiff.
        library = ctypes.CDLL(_imaging.__file__)
        handlers = library.TIFFSetWarningHandler, library.TIFFSetErrorHandler
    except (AttributeError, OSError):
        return False
    for set_handler in handlers:
        set_handler.argtypes = [ctypes.c_void_p]
        set_handler.restype = ctypes.c_void_p
        set_handler(None)
    return True
