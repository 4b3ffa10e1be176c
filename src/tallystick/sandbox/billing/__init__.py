"""What usage becomes: prices, subscriptions with their periods, invoices, test clocks."""
