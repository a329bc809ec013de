"""The demo models: nine small models that the project trains itself."""
