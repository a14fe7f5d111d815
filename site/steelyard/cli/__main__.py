"""`python -m steelyard.cli`: the command line where no script is installed."""

from steelyard.cli import main

if __name__ == "__main__":
    main()
