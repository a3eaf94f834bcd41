"""Background jobs, and the requests to the server that run in them."""
