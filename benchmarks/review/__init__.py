"""Review of the library's tables against measured spectra; `python -m benchmarks.review --help`."""
