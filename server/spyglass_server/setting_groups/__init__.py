"""The settings of the server by subject; `settings.ServerSettings` has all of them."""
