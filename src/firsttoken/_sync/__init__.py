"""The sync client and its driver: sockets, threads and waiting, around the call machine."""
