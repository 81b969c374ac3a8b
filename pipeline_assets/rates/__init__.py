"""Freight rates: batches of prices between ports, by day."""
