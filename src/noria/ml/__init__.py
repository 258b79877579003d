"""The wheel itself: pure functions and local files; knows no task by name."""
