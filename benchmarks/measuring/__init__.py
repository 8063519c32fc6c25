"""What the benchmarks of servers share: images, calls, client processes, processor time, tables and plots."""
