"""What is made from a batch's rows after its commit."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("due", sa.Integer(), nullable=False, comment="publications.seq that it is to be made from"),
        sa.Column("made", sa.Integer(), nullable=False, comment="publications.seq that it was made from; 0: never made"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="tries that failed since it was due"),
        sa.Column("error", sa.Text(), nullable=True, comment="why the last try failed"),
        sa.Column("permanent", sa.Boolean(), nullable=False, comment="the next try would fail as well"),
        sa.Column("run_id", sa.String(length=64), nullable=True, comment="run of the last try"),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "name", name="pk_products"),
        comment="what is made from a batch's rows after its commit, and whether it is up to date",
    )
    op.create_index(
        "ix_products_behind",
        "products",
        ["source"],
        unique=False,
        sqlite_where=sa.text("made < due"),
        postgresql_where=sa.text("made < due"),
    )
