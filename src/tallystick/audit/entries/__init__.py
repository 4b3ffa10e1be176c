"""Where requests and jobs enter the program, and how often schedules start them."""
