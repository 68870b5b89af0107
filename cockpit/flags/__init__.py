"""Every flag of the catalogue, one a file. Found by walking; nothing is registered by hand."""
