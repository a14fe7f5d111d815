"""Charts of records: a specification, its picture, and the numbers as a table. One file per kind of chart."""
