"""What looks for vehicles in a picture. Detectors stand behind one port; layouts of networks plug in by a file each."""
