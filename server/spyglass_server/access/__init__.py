"""Who calls, what each caller may do, and how much of it."""
