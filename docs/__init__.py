"""The documents, and the demo: a tutorial that runs."""
