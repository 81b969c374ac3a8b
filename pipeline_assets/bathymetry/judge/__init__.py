"""What a finished surface is held against: the checks, the profiles that say how strict they are, and their report."""
