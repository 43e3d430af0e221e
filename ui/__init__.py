"""The browser app: one file a tab, wiring only; all science goes through `analysis`."""
