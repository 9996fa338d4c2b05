"""`python -m keyp`: the same as the command `keyp`."""

from keyp.main import main

main()
