"""Trainings on the server."""
