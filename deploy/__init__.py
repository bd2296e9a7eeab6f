"""Tries what is deployed: the template in an AWS emulator, the functions in AWS's emulator of Lambda's runtime."""

# So long a call holds its slot of the rate limit.
SLOT_SECONDS = 59
