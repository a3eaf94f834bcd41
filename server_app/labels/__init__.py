"""Submitted labels, and the model's answers that they correct."""
