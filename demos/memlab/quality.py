"""python -m memlab.quality: see `memlab.sweeps.quality`."""

from memlab.sweeps.quality import main

if __name__ == "__main__":
    main()
