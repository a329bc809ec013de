"""Parts of what is known of effects: estimates, heads ablated together, generated texts."""
