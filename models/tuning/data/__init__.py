"""What is trained on: folders of labelled pictures or sounds, and lines of text."""
