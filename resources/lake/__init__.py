"""The lake: Parquet tables in Apache Iceberg format, and the SQL that reads what is published of them."""
