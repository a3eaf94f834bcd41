"""Retraining on the server: the queue, the process that trains, its progress, and continuing after interruptions."""
