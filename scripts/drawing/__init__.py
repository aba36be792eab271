"""The pictures of the documentation, drawn from facts: the same facts give the same bytes."""
