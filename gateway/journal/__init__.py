"""What the post must not forget: SQLite, one writer, group commit."""
