"""Submitted labels and the answers of the model."""
