"""From a source to splits: validation cut, statistics, duplicates, and the vault. NumPy only."""
