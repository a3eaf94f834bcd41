"""Cases: finding, uploading, claiming and removing them, and submitting their labels."""
