"""Raw studies, measured on raw phantoms: ``python -m docs.raw`` writes the tables of ``docs/raw.md``."""
