"""Ports, regions, prices, and what is kept of them by day."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "regions",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent_slug", sa.Text()),
        sa.PrimaryKeyConstraint("slug", name="pk_regions"),
        sa.ForeignKeyConstraint(
            ["parent_slug"], ["regions.slug"], name="fk_regions_parent_slug", deferrable=True, initially="DEFERRED"
        ),
        comment="the tree of regions; a region without a parent is a root",
    )
    op.create_table(
        "ports",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("region_slug", sa.Text(), comment="empty for a port that was forgotten and has prices still"),
        sa.PrimaryKeyConstraint("code", name="pk_ports"),
        sa.ForeignKeyConstraint(
            ["region_slug"], ["regions.slug"], name="fk_ports_region_slug", deferrable=True, initially="DEFERRED"
        ),
    )
    op.create_table(
        "closure",
        sa.Column("region_slug", sa.Text(), nullable=False),
        sa.Column("port_code", sa.Text(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False, comment="regions between: 0 for the port's own region"),
        sa.PrimaryKeyConstraint("region_slug", "port_code", name="pk_closure"),
        sa.ForeignKeyConstraint(
            ["region_slug"], ["regions.slug"], name="fk_closure_region_slug", deferrable=True, initially="DEFERRED"
        ),
        sa.ForeignKeyConstraint(
            ["port_code"], ["ports.code"], name="fk_closure_port_code", deferrable=True, initially="DEFERRED"
        ),
        comment="every port of each region and of all regions below it",
    )
    op.create_table(
        "lanes",
        sa.Column("lane_id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("orig_code", sa.Text(), nullable=False),
        sa.Column("dest_code", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("lane_id", name="pk_lanes"),
        sa.UniqueConstraint("orig_code", "dest_code", name="uq_lanes_orig_code_dest_code"),
        sa.ForeignKeyConstraint(["orig_code"], ["ports.code"], name="fk_lanes_orig_code"),
        sa.ForeignKeyConstraint(["dest_code"], ["ports.code"], name="fk_lanes_dest_code"),
        comment="pairs of ports that have, or had, prices",
    )
    op.create_table(
        "batches",
        sa.Column("file_no", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("file_id", sa.String(24), nullable=False, comment="the file that the prices came in"),
        sa.Column("batch_id", sa.String(64), nullable=False, comment="the run's batch that loaded it"),
        sa.Column("prices", sa.BigInteger(), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("file_no", name="pk_batches"),
        sa.UniqueConstraint("file_id", name="uq_batches_file_id"),
        comment="files whose prices are served, whole",
    )
    op.create_table(
        "prices",
        sa.Column("file_no", sa.Integer(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False, comment="number of the row in its file, from 1"),
        sa.Column("lane_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("price", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("file_no", "row", name="pk_prices"),
        sa.CheckConstraint("price > 0 AND price < 'Infinity'", name="ck_prices_price"),
        comment="one row for each price of each file; equal rows are prices of their own",
    )
    op.create_index("ix_prices_lane_day", "prices", ["lane_id", "day"], postgresql_include=["price"])
    op.create_table(
        "daily_rates",
        sa.Column("lane_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("prices", sa.Integer(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False, comment="sum of the prices"),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("p2_5", "p25", "median", "p75", "p97_5")),
        sa.PrimaryKeyConstraint("lane_id", "day", name="pk_daily_rates"),
        comment="one row for each lane and day that has prices, kept in the transaction that changes them",
    )
    op.create_table(
        "writers",
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column(
            "fence",
            sa.BigInteger(),
            nullable=False,
            comment="of the newest turn to commit that wrote; older ones may not",
        ),
        sa.PrimaryKeyConstraint("source", name="pk_writers"),
    )
