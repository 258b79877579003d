"""Steps: what each pipeline component does, as a plain function."""
