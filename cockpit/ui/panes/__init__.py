"""The panes of the cockpit screen, one a file: data is pushed down with `show`, messages go up, none knows another."""
