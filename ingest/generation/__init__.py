"""Text out of models: contexts in, sampled continuations out, with or without ablated heads."""
