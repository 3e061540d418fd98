"""From a graph to a picture."""
