"""Runs as tasks of ECS, on an imitation of AWS on this machine."""
