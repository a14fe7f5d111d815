"""Will it fit? The planner's page, its grid of predictions and their accuracy."""
