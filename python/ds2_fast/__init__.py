"""Choose the data to fine-tune on."""
