"""The node: measure when asked, keep what was measured, send it until it is receipted."""
