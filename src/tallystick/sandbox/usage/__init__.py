"""Usage on its way in: meters, events in each of their forms, what is read back of them."""
