"""What the post says of itself: counters, status, log."""
