"""What stands beside the tabs: tour, examples, recipes, downloads, own model."""
