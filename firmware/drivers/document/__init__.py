"""Readers of travel documents that send the machine-readable zone over a serial port."""
