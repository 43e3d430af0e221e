"""Files that are whole, checked and found by name: checkpoints, models, settings, where data lie."""
