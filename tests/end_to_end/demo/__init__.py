"""The whole loop on a real server: ``python -m tests.end_to_end.demo --help``."""
