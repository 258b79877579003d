"""Gates: from evidence to verdict, without a side effect."""
