"""Rigid registration of one series of a head to another."""
