"""Films of the app and of the static page, driven in a headless browser."""
