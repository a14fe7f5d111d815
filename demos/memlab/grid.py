"""python -m memlab.grid: see `memlab.plan.grid`."""

from memlab.plan.grid import main

if __name__ == "__main__":
    main()
