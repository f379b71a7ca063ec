"""Words, voices and pixels of the people in a clip: arrays in, arrays out."""
