"""The graph of a network in a simpler, equal form, before anything looks at it."""

from spyglass_export.simplifying.simplified import simplified

__all__ = ["simplified"]
