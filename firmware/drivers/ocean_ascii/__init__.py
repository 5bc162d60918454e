"""Spectrometers that obey one-letter commands over RS-232 (USB4000, Flame and their kin)."""
