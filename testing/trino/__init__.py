"""The local Athena beside a real Trino."""
