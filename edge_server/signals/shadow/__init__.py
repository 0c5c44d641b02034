"""What shadowing a real controller shows: what it did, beside what ours would have done."""
