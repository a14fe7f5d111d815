"""python -m memlab.readme: see `memlab.publishing.readme`."""

from memlab.publishing.readme import main

if __name__ == "__main__":
    main()
