"""Segmentation of a case by a model."""
