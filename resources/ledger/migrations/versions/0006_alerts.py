"""What people have been told, and how far looking for what to tell them has come."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("key", sa.String(length=255), nullable=False, comment="equal for what is to be told once"),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False, comment="what is told: title, text, file, run, commands"),
        sa.Column("count", sa.Integer(), nullable=False, comment="how often it has happened"),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when to try to tell it next; empty when there is nothing to tell",
        ),
        sa.Column("tries", sa.Integer(), nullable=False, comment="attempts to tell it that failed since it was told"),
        sa.Column("error", sa.Text(), nullable=True, comment="why the last attempt to tell it failed"),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True, comment="when it was seen to be over"),
        sa.PrimaryKeyConstraint("key", name="pk_alerts"),
        comment="what people are told once, and whether they have been",
    )
    op.create_index(
        "ix_alerts_due",
        "alerts",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "alert_positions",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_alert_positions"),
        comment="how far looking for what to tell has come",
    )
    op.create_index(
        "ix_batches_held",
        "batches",
        ["batch_id"],
        unique=False,
        sqlite_where=sa.text("state = 'held'"),
        postgresql_where=sa.text("state = 'held'"),
    )
