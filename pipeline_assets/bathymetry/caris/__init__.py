"""The engine CARIS HIPS and SIPS: its commands as data, what they say, and the chain of steps that they make."""
