"""The panel and its sections."""
