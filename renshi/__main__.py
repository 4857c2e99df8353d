"""`python -m renshi` is the command `renshi`."""

from renshi.cli import main

main()
