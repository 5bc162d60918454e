"""A scale on a pseudo-terminal that speaks MT-SICS, levels 0 and 1."""
