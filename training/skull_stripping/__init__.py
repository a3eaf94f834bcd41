"""Brain extraction from a T1 or T1ce of a whole head."""
