"""Recipes: trainings in stages, from nothing to a model that can be released."""
