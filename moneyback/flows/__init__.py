"""The stories, one file a verb. A flow claims, calls and records; no transaction is open while a provider is called."""
