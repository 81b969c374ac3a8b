"""Runs migrations in the transaction of the connection that `database` hands over."""

from alembic import context

from resources.serving.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
