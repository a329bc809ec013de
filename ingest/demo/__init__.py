"""The demo pair: three small models that the project trains itself."""
