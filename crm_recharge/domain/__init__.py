"""The rules about money, timing and order: standard library only, no database, no network, no clock."""
