"""Surfaces that arrive ready-made, as BAG or GeoTIFF: read to what checks take. A damaged file is Refused."""
