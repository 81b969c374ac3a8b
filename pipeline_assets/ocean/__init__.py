"""Ocean cruise files: bottle and CTD data, moorings, and what oceanographers say of their quality."""
