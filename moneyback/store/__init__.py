"""Where refunds are kept: PostgreSQL, the embedded server, and the small in-memory twin of the engine's port."""
