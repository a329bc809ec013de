"""Models and prompts in, a dataset out."""
