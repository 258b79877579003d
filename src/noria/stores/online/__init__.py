"""Online: the newest row of each entity, one packed value by view and key, for answers within milliseconds."""
