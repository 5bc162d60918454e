"""Spectrometers that speak version 2 of the Ocean Binary Protocol over a serial port."""
