"""python -m memlab.suite: see `memlab.sweeps.suite`."""

from memlab.sweeps.suite import main

if __name__ == "__main__":
    main()
