"""Where pictures come from: one file per kind of source, behind one port."""
