"""`python -m distill.tabular`."""

from distill.tabular.command import main

if __name__ == "__main__":
    raise SystemExit(main())
