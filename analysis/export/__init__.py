"""Results and models as files: here the page that runs a model in a visitor's browser."""
