"""How .venv and .tools come to be; started by .ci/setup.py, standard library only.

Rules of the package: nothing outside the project's folder is written; what is built appears under
its final name only when it is whole; every started program has a deadline; whatever goes wrong ends
as a `SetupError` that says what to do.
"""
