"""Pictures and animations of a case and its labels."""
