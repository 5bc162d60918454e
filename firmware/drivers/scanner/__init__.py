"""Barcode scanners on a serial port: lines with or without AIM identifiers."""
