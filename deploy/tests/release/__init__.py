"""What make release packs."""
