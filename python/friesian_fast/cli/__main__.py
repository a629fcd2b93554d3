"""``python -m friesian_fast.cli`` is the `friesian` command."""

from friesian_fast.cli.main import main

main()
