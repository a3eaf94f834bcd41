"""What several parts of the server use."""
