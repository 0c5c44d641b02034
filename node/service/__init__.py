"""What a service manager wants to hear from a process."""
