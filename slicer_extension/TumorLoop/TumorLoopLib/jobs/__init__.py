"""Work on threads of its own, and what it does."""
