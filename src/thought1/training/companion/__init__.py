"""The stage that trains a companion: it learns to read thoughts."""
