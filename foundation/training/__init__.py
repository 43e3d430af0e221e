"""One training loop for all models: its log, optimizers, stops and command line."""
