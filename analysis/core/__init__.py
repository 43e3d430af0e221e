"""What every room stands on: errors, checked fields, the byte-bounded cache, images as bytes."""
