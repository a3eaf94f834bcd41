"""What is read from and written to Slicer's MRML scene."""
