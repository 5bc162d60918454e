"""What a scanned code says, and what is wrong with it. Pure: no clock, no I/O."""
