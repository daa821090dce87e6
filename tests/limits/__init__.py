"""What a server can make the clients use at most: memory, and CPU time for each byte. Each in a process of its own."""
