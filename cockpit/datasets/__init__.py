"""Readers of image data into plain arrays. They know nothing of recipes or runs."""
