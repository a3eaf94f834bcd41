"""A small scripted module, to test the harness with."""
