"""What a case is, and how its four volumes are found in folders and 4D files."""
