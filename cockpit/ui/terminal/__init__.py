"""What goes to the terminal: only the cells that differ, and never more than it takes."""
