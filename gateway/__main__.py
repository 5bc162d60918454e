"""`python -m gateway` is the command `harmattan`."""

from gateway.cli import main

main()
