"""The serving database's tables. The migrations in `migrations/` make them; a test keeps both equal."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    },
)

regions = Table(
    "regions",
    metadata,
    Column("slug", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("parent_slug", Text, ForeignKey("regions.slug", deferrable=True, initially="DEFERRED")),
    comment="the tree of regions; a region without a parent is a root",
)

ports = Table(
    "ports",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column(
        "region_slug",
        Text,
        ForeignKey("regions.slug", deferrable=True, initially="DEFERRED"),
        comment="empty for a port that was forgotten and has prices still",
    ),
)

closure = Table(
    "closure",
    metadata,
    Column("region_slug", Text, ForeignKey("regions.slug", deferrable=True, initially="DEFERRED"), primary_key=True),
    Column("port_code", Text, ForeignKey("ports.code", deferrable=True, initially="DEFERRED"), primary_key=True),
    Column("depth", Integer, nullable=False, comment="regions between: 0 for the port's own region"),
    comment="every port of each region and of all regions below it",
)

lanes = Table(
    "lanes",
    metadata,
    Column("lane_id", Integer, Identity(), primary_key=True),
    Column("orig_code", Text, ForeignKey("ports.code"), nullable=False),
    Column("dest_code", Text, ForeignKey("ports.code"), nullable=False),
    UniqueConstraint("orig_code", "dest_code"),
    comment="pairs of ports that have, or had, prices",
)

batches = Table(
    "batches",
    metadata,
    Column("file_no", Integer, Identity(), primary_key=True),
    Column("file_id", String(24), nullable=False, unique=True, comment="the file that the prices came in"),
    Column("batch_id", String(64), nullable=False, comment="the run's batch that loaded it"),
    Column("prices", BigInteger, nullable=False),
    Column("loaded_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    comment="files whose prices are served, whole",
)

prices = Table(
    "prices",
    metadata,
    Column("file_no", Integer, primary_key=True, autoincrement=False),
    Column("row", Integer, primary_key=True, autoincrement=False, comment="number of the row in its file, from 1"),
    Column("lane_id", Integer, nullable=False),
    Column("day", Date, nullable=False),
    Column("price", Double, nullable=False),
    # No foreign keys: the one writer keeps them, and a check for each of millions of rows would cost more than the row.
    CheckConstraint("price > 0 AND price < 'Infinity'", name="price"),
    Index("ix_prices_lane_day", "lane_id", "day", postgresql_include=["price"]),
    comment="one row for each price of each file; equal rows are prices of their own",
)

daily_rates = Table(
    "daily_rates",
    metadata,
    Column("lane_id", Integer, primary_key=True, autoincrement=False),
    Column("day", Date, primary_key=True),
    Column("prices", Integer, nullable=False),
    Column("total", Double, nullable=False, comment="sum of the prices"),
    Column("p2_5", Double, nullable=False),
    Column("p25", Double, nullable=False),
    Column("median", Double, nullable=False),
    Column("p75", Double, nullable=False),
    Column("p97_5", Double, nullable=False),
    comment="one row for each lane and day that has prices, kept in the transaction that changes them",
)

writers = Table(
    "writers",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("fence", BigInteger, nullable=False, comment="of the newest turn to commit that wrote; older ones may not"),
)
