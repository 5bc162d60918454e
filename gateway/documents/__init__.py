"""Travel documents that nodes read, as values; what is in them stays out of logs and alerts."""
