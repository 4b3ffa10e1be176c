"""The main job, end to end, on one hour of real traffic: `tallystick demo`."""
