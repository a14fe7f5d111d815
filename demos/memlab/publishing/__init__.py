"""Records as people read them: tables, pictures and the generated parts of the READMEs. No torch."""
