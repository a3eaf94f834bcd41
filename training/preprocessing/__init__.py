"""From volumes as they were scanned to the four stripped, aligned volumes that everything else expects."""
