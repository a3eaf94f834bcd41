"""Metrics, and the evaluation of a model on labeled cases."""
