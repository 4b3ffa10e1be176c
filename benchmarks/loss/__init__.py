"""The loss table: how much answered usage never reaches the provider, for tallystick and two buffering peers."""
