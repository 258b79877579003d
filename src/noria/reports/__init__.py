"""Reports: pages for people, made from facts."""
