"""One subject a file; each has a function ``measure``."""
