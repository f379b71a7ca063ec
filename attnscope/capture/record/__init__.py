"""What happens while the model runs: attention calls become arrays of a capture."""
