"""``python -m batchpost``."""

from batchpost.cli import main

if __name__ == "__main__":
    main()
