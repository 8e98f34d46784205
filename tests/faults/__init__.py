"""What goes wrong on the way of one image, provoked for real: the table, and what does not fit into one."""
