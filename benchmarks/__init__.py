"""Measurements that are shipped: `kinflow bench`."""
