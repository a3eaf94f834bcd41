"""Phantoms: synthetic heads with gliomas."""
