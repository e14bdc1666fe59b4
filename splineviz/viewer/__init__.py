"""The explorer: what a page or a notebook shows of results, packed for the browser; its JavaScript and CSS lie beside it."""
