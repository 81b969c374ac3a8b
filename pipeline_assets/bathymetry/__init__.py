"""Hydrographic surveys: soundings to a checked surface."""
