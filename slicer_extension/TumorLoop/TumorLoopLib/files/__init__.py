"""NRRD files."""
