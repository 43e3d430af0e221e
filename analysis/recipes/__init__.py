"""A question and its weights as JSON or inside a PNG, checked and asked again."""
