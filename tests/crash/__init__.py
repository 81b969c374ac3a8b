"""The platform is killed at every bad moment, and nothing is lost, doubled or half visible."""
