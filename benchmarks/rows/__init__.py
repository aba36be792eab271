"""The rows of the comparison, a module for each group; table.py lists them."""
