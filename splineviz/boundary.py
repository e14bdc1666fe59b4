"""Where the arg-max of the outputs changes."""
