"""The measured speed of each model, and the decisions that follow from it."""
