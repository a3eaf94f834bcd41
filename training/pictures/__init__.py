"""Pictures and films of a case and its labels."""
