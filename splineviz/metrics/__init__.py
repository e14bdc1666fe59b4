"""Numbers: of a partition, of neighbourhoods of samples, of gradients, of attacks. Draws nothing and opens no run."""
