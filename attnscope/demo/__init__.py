"""The embedded models and scenes, and the demo that runs on them."""
