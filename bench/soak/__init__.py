"""A deployment under a steady load for long: what it loses (nothing), how soon rows are visible, and what grows."""
