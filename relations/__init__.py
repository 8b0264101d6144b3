"""What is being looked for, and what training and extraction must agree on."""
