"""Every trick of the catalogue, a family a file or a trick a file. Found by walking; nothing is registered by hand."""
