"""python -m memlab.reference: see `memlab.sweeps.reference`."""

from memlab.sweeps.reference import main

if __name__ == "__main__":
    main()
