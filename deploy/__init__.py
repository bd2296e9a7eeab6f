"""Tries what is deployed: the template in an AWS emulator, the functions in AWS's emulator of Lambda's runtime."""
