"""The simulator: the product's own code on one virtual clock, among seeded faults, its promises checked each step."""
