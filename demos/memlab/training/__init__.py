"""What is trained: the model, the data, and the parts that techniques share."""
