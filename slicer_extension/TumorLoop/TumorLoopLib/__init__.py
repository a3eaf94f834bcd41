"""What the TumorLoop panel is made of; nothing here needs more than Python's standard library at import."""
