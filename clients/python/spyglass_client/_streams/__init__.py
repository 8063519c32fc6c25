"""Many images over one call: a plan without I/O, and its blocking and asyncio drivers."""
