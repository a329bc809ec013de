"""Single figures, for notebooks and as files, and the command `headswap figure`."""
