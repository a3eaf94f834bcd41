"""Volumes and labelmaps: their grids, and reading and writing them by file ending."""
