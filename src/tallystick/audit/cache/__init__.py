"""What is kept from one run to the next: lowered files, and the last answer for a tree."""
