"""Model versions on disk, and the weights in them."""
