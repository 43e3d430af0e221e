"""What a section of results is made of, how it is printed and drawn, and the table of parts."""
