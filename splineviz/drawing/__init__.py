"""A Partition as a picture, pictures as a figure or a film. Knows no network and measures nothing."""
