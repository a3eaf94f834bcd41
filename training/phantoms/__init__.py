"""Synthetic heads with gliomas."""
