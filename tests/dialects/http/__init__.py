"""The five dialects over real HTTP: the product in its own processes, asked as a provider's clients ask."""
