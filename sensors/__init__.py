"""What starts runs: discovery of arrivals, and the sensors that ask Dagster for runs."""
