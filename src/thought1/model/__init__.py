"""One model: its files and settings, how it is loaded and saved, and how it embeds and thinks."""
