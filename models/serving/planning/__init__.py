"""Who gets which rows of the next step: pure functions, and no engine in them."""
