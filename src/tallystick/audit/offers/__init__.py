"""What the seller asks for a unit of use: in sentences and in names."""
