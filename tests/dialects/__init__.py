"""What every dialect must do, and one folder of tables for each provider."""
