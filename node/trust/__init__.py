"""Who a device is and whom it believes: keys, certificates, the join code, and what renews itself."""
