"""How a run becomes a task of ECS."""
