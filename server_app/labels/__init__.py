"""Submitted labels, and the model's predictions that they correct."""
