"""Ports and regions: what prices are between."""
