"""Learning from corrections: the split, the training, and the promotion of a version."""
