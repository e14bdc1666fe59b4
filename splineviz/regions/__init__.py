"""Every linear region of a slice: enumerated, in blocks or tiles, estimated beforehand, and proved against the model."""
