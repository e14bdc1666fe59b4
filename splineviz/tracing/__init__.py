"""A torch module -> a Program: steps over registers with their weights, proven to be the module. Knows no geometry."""
