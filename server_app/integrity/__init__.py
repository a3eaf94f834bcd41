"""Checking and recovering what is stored."""
