: A plan needs no network.
