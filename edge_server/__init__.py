"""The closet: hears every device, keeps what they say, steers the signals and shows it all to people."""
