"""Spectrometers that speak the Ocean Binary Protocol over a serial port."""
