"""What the product does in a second, as a share of what PostgreSQL alone does with one refund per transaction."""
