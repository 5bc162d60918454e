"""A journal of today taken back to what version 5 kept."""

TABLES = ("evictable", "healths", "tallies", "retention", "integrity", "posture")


def to_version_5(connection):
    """Drop what version 6 brought; what is pending stays so."""
    listing = "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
    for (name,) in connection.execute(listing).fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DROP INDEX records_of_darks; DROP INDEX darks_of_records")
    for table, column in (("records", "crc"), ("records", "dark_seq"), ("journals", "evicted_seq")):
        connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    for table in TABLES:
        connection.execute(f"DROP TABLE {table}")
    connection.execute(
        "ALTER TABLE pending RENAME TO newer_pending;"
        " CREATE TABLE pending"
        " (record_id INTEGER NOT NULL PRIMARY KEY REFERENCES records (id)) STRICT;"
        " INSERT INTO pending SELECT record_id FROM newer_pending;"
        " DROP TABLE newer_pending"
    )
    connection.pragma("user_version", 5)
