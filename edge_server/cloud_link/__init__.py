"""What an edge server tells the cloud tier. Nothing here waits for the cloud, and nothing waits for this."""
