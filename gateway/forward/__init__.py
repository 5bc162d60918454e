"""Alerts out, until the authority's receipt."""
