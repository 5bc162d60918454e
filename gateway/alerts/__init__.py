"""Alerts: what is said to the authority, and until when it is said again. Pure."""
