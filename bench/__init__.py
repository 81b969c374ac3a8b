"""Benchmarks against named peers, as ratios measured in one run: ``python -m bench`` (or ``make bench``)."""
