"""Compare predictions with measurements, on randomly drawn configurations."""
