"""What the process may use at a time: processors, memory, and permits for requests."""
