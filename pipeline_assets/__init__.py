"""The assets: what a source is, what a run does with a batch, and one room per source."""
