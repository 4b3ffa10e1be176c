"""The lowered files as one program: functions, what their names mean, and who calls whom."""
