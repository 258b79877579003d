"""Rolling: two replicas behind a proxy are restarted and get new models, under a load that loses nothing."""
