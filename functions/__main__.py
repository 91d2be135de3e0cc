"""``python -m functions``: serve functions, as the environment says which."""

from functions.app import main

main()
