"""`python -m distill.finish`."""

from distill.finish.command import main

if __name__ == "__main__":
    raise SystemExit(main())
