"""Cases: four volumes of one head, found in folders and 4D files."""
