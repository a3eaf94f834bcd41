"""Preparation of four volumes for the network, and the exact inverse."""
