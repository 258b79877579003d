"""The chart, and the programs that render it and make what it does not hold."""
