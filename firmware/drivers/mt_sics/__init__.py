"""Scales that speak MT-SICS, the Standard Interface Command Set of Mettler Toledo."""
