"""Whether heads match beyond chance: sums of one pass over the rows, and the tests made of them."""
