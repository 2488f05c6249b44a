"""`python -m services` is `ebbwatch`."""

from services.cli import main

if __name__ == "__main__":
    main()
