"""Ports and regions in the serving database: taken over whole, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

Row = dict[str, object]


def ports_in_use(connection: Connection) -> set[str]:
    """Codes of the ports that prices are for."""
    return set(
        connection.scalars(
            text(
                "SELECT orig_code FROM lanes l WHERE EXISTS (SELECT 1 FROM prices p WHERE p.lane_id = l.lane_id) "
                "UNION SELECT dest_code FROM lanes l WHERE EXISTS (SELECT 1 FROM prices p WHERE p.lane_id = l.lane_id)"
            )
        )
    )


def replace(connection: Connection, ports: Sequence[Row], regions: Sequence[Row], closure: Sequence[Row]) -> None:
    """Let these be all ports and regions. Ports that prices are for must be among them (`ports_in_use`).

    ports: code, name, region_slug. regions: slug, name, parent_slug. closure: region_slug, port_code, depth.
    """
    run = connection.execute
    run(text("DELETE FROM closure"))
    run(text("UPDATE ports SET region_slug = NULL"))
    run(text("DELETE FROM regions"))
    _insert(connection, "regions (slug, name, parent_slug) VALUES (:slug, :name, :parent_slug)", regions)
    _insert(
        connection,
        "ports (code, name, region_slug) VALUES (:code, :name, :region_slug) "
        "ON CONFLICT (code) DO UPDATE SET name = excluded.name, region_slug = excluded.region_slug",
        ports,
    )
    _insert(
        connection,
        "closure (region_slug, port_code, depth) VALUES (:region_slug, :port_code, :depth)",
        closure,
    )
    known = [port["code"] for port in ports]
    # A lane whose prices were all withdrawn does not keep its ports.
    run(
        text(
            "DELETE FROM lanes l WHERE NOT (orig_code = ANY(:known) AND dest_code = ANY(:known)) "
            "AND NOT EXISTS (SELECT 1 FROM prices p WHERE p.lane_id = l.lane_id)"
        ),
        {"known": known},
    )
    run(
        text(
            "DELETE FROM ports p WHERE NOT code = ANY(:known) "
            "AND NOT EXISTS (SELECT 1 FROM lanes l WHERE l.orig_code = p.code OR l.dest_code = p.code)"
        ),
        {"known": known},
    )


def known_ports(connection: Connection) -> frozenset[str]:
    """Codes of all ports that a price may be for."""
    return frozenset(connection.scalars(text("SELECT code FROM ports WHERE region_slug IS NOT NULL")))


def _insert(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(text(f"INSERT INTO {statement}"), rows)


def served(connection: Connection) -> dict[str, set[tuple[object, ...]]]:
    """All rows of ports, regions and closure; ports that were forgotten are left out."""
    queries = {
        "ports": "SELECT code, name, region_slug FROM ports WHERE region_slug IS NOT NULL",
        "regions": "SELECT slug, name, parent_slug FROM regions",
        "closure": "SELECT region_slug, port_code, depth FROM closure",
    }
    return {table: {tuple(row) for row in connection.execute(text(query))} for table, query in queries.items()}
