"""Camera pictures of a road, drawn with NumPy and OpenCV, together with the truth behind each of them."""
