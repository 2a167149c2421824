"""`python -m distill.generate`."""

from distill.generate.command import main

if __name__ == "__main__":
    raise SystemExit(main())
