"""`python -m kinflow`: the same as `kinflow`."""

from kinflow.main import main

main()
