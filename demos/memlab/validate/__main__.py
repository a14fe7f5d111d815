"""python -m memlab.validate: see `memlab.validate.command`."""

from memlab.validate.command import main

main()
