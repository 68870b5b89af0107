"""Small parts that the panes share."""
