"""The machine fails: its disk is full, its database goes away, its clock jumps. Nothing is lost or doubled."""
