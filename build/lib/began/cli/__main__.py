"""`python -m began.cli`, the same as `began`."""

from began.cli import main

main(prog_name="began")
