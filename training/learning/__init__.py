"""The learning curve: what corrected cases of a hospital gain on its unseen cases, and cost elsewhere."""
