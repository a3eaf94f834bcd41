"""Volumes and labelmaps: grids, masks, resampling, and the file formats."""
