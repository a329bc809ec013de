"""One producer a stored table: what turns loaded models and prompts into rows."""
