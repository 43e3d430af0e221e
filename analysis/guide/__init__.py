"""What the page teaches: lessons with their checks, examples, glossary."""
