"""What looks for vehicles in a picture. Detectors plug in behind one port; none ships yet."""
