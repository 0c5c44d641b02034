"""From a question to a tool and its arguments, on the device member of a family alone."""
