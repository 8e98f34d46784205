"""Packages end to end: from a mirror's tar.gz to the pictures on disk."""
