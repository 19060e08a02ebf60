"""The official clients, unmodified, on our server and on the real one."""
