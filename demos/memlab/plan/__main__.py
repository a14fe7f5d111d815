"""python -m memlab.plan: see `memlab.plan.command`."""

from memlab.plan.command import main

main()
