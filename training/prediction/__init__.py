"""From a case and a model to a labelmap."""
