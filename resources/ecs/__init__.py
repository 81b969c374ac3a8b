"""Runs as tasks of Amazon ECS: how large, where, and what becomes of them."""
