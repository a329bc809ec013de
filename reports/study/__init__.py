"""Studies: a TOML file that names models, prompts, a reference head and where results go."""
