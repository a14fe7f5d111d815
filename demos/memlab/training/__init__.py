"""What is trained: the model, the text, and the parts that techniques share."""
