"""Follow packets on their way: taps in every namespace, and what was decided at each hop."""
