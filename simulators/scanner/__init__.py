"""A barcode scanner on a serial line."""
