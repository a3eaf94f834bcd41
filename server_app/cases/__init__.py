"""Cases, and what is done with them."""
