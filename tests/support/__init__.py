"""What tests and benchmarks are made with: a drawn clip, and a tiny checkpoint with random weights."""
