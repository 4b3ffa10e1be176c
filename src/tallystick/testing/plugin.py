"""pytest fixtures for applications that use tallystick."""
