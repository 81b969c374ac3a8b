"""The serving database's schema, step by step (Alembic)."""
