"""Publication of a model: benchmark, model card, and the phantom sheet."""
