"""Recipes: the multi-stage training of a model for release."""
