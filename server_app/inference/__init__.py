"""Inference: requests, the queue, the process that computes, and what is kept of the results."""
