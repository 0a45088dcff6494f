"""`python -m gatewright.cli`, where the script `gatewright` is not on the path."""

from gatewright.cli import main

if __name__ == "__main__":
    main()
