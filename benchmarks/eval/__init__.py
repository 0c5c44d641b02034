"""How good answers are: `kinflow eval`. One file for each part that is judged, one command for each file."""
