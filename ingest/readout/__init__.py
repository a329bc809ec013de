"""What a model has decided after each layer, and what each head adds to it."""
