"""What becomes of files: a model on one page, and the platform held against it in thousands of orders of events."""
