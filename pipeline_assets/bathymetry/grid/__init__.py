"""The open gridding engine; `engine.grid` is its front door."""
