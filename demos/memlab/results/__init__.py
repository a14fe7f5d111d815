"""Records and all that is reckoned from them. No torch: the site reads it too."""
