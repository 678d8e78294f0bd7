"""`python -m hardpoint` is the command `hardpoint`."""

from hardpoint.cli import main

if __name__ == "__main__":
    main()
