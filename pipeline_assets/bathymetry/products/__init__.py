"""What is made of a finished surface and of its soundings: files in a folder. Pure functions."""
