"""What is published with a model: benchmark, card, pictures of phantoms."""
