"""`python -m distill COMMAND`: the same as `distill COMMAND`."""

from distill import cli

raise SystemExit(cli.main())
