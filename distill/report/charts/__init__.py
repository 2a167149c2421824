"""Charts as SVG, written by hand: a page needs no script and no network."""
