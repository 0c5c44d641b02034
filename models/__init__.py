"""The family of models, and what turns weights into answers on any tier. So far it holds one port, by which learned
detectors will join (models/vision/), and no weights."""
