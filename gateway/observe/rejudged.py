"""Readings that were judged again: what `harmattan library rejudged` tells."""
