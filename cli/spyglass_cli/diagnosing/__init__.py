"""The checks of `spyglass doctor`, one module each; `registry` has their order."""
