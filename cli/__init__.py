"""The command line: thin, calls the same functions that the assets and sensors call."""
