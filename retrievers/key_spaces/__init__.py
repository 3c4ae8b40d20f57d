"""What documents are found by: their text, title, summary, or questions that they answer."""
