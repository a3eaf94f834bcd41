"""Segmenting a case."""
