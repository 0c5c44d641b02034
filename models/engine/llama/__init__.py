"""llama.cpp behind the port, by the low-level bindings of llama-cpp-python."""
