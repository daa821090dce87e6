"""The sync shell: sockets, threads and waiting around the core."""
