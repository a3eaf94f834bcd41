"""Running the server: what it tells those who look after it, and how it ends."""
