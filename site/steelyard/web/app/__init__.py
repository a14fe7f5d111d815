"""What every page stands on: state, database, identity, security, languages, errors."""
