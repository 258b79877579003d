"""The feature repository: how Feast finds, joins and writes what models are trained on."""
