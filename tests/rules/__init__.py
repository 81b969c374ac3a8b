"""What each rule of the design says, seen through the front door: one file for each rule."""
