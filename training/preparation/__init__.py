"""From four volumes to the array the network sees, and exactly back."""
