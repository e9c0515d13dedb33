"""Files and folders, whatever they hold: written whole or not at all, and the user's cache."""
