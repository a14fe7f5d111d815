"""Predictions beside measurements, on configurations that nobody chose."""
